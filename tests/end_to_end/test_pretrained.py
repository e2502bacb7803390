"""`finetuning: pretrained`: the model as it is, in a finished run. It trains nothing and reruns nothing."""

import csv
import json
import shutil

import pyarrow.parquet as pq
import pytest
from snakemake_calls import SMALLEST, parse, planned, snakemake

OVERLAY = {
    "run": {"tables": ["xquad", "as_it_is"]},
    "tables": {
        "as_it_is": {
            "kind": "interventions",
            "task": "xquad",
            "models": ["tiny-llama"],
            "method_groups": ["LAPE"],
            "interventions": ["none", "zero"],
            "finetuning": "pretrained",
        }
    },
}


@pytest.fixture(scope="module")
def run(finished, tmp_path_factory):
    """A copy of the finished run with one table more, and what was planned before that was made."""
    directory = tmp_path_factory.mktemp("pretrained") / "run"
    shutil.copytree(finished, directory, symlinks=True)
    (directory / "overlay.yaml").write_text(json.dumps(OVERLAY), encoding="utf-8")
    configs = (*SMALLEST, directory / "overlay.yaml")
    before = planned(directory, configs=configs)
    done = snakemake(directory, configs=configs, warm=True)
    assert done.returncode == 0, done.stdout[-10_000:]
    return directory, before


def test_it_plans_its_own_conditions_alone(run):
    # English and Vietnamese without, Vietnamese at zero
    # ... and what is corrected for one comparison more.
    assert run[1] == {"evaluate": 3, "render_table": 2, "compare": 1, "write_report": 1}


def test_its_answers_are_those_of_the_snapshot(run):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    directory, _ = run
    snapshot = directory / "resources/models/tiny-llama"
    model = AutoModelForCausalLM.from_pretrained(snapshot, dtype="float32").eval()
    tokenizer = AutoTokenizer.from_pretrained(snapshot)
    path = directory / "results/tiny-llama/predictions/xquad/pretrained/vi/none.parquet"
    kept = {row["id"]: row["prediction"] for row in pq.read_table(path).to_pylist()}
    examples = {
        row["id"]: row for row in pq.read_table(directory / "resources/tasks/xquad/vi.test.parquet").to_pylist()
    }
    assert kept
    for key, answer in kept.items():
        prompt = f"{examples[key]['context'].strip()}\n{examples[key]['question'].strip()}\n"
        ids = [tokenizer.bos_token_id, *tokenizer(prompt, add_special_tokens=False).input_ids]
        for _ in range(3):  # max_new_tokens, greedily
            with torch.inference_mode():
                ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
            if ids[-1] == tokenizer.eos_token_id:
                break
        new = ids[1 + len(tokenizer(prompt, add_special_tokens=False).input_ids) :]
        assert answer == tokenizer.decode(new, skip_special_tokens=True).strip()


def test_the_table_holds_them_and_says_what_they_are_of(run):
    tables = run[0] / "results/tables"
    with open(tables / "as_it_is.tsv", encoding="utf-8", newline="") as file:
        source, row = csv.DictReader(file, delimiter="\t")
    assert (source["language"], row["language"], row["method_key"]) == ("en", "vi", "lape-set1")
    metrics = run[0] / "results/tiny-llama/metrics/xquad/pretrained/vi/none.tsv"
    with open(metrics, encoding="utf-8", newline="") as file:
        (own,) = csv.DictReader(file, delimiter="\t")
    assert float(row["none_f1"]) == pytest.approx(float(own["f1"]))
    assert "of the pretrained model" in (tables / "as_it_is.md").read_text(encoding="utf-8")
    assert "of the pretrained model" not in (tables / "xquad.md").read_text(encoding="utf-8")


def test_no_adapter_is_made_and_none_can_be_asked_for(run):
    directory, _ = run
    assert not (directory / "results/tiny-llama/adapters/xquad/pretrained").exists()
    done = parse(directory, "-n", "results/tiny-llama/adapters/xquad/pretrained", configs=SMALLEST)
    assert done.returncode != 0
    assert "MissingRuleException" in done.stdout


def test_a_task_with_a_classifier_is_refused(tmp_path):
    overlay = {"tables": {"xnli": {"finetuning": "pretrained"}}}
    (tmp_path / "overlay.yaml").write_text(json.dumps(overlay), encoding="utf-8")
    done = parse(tmp_path, "-n", configs=(*SMALLEST, tmp_path / "overlay.yaml"))
    says = (
        "tables.xnli.finetuning: is pretrained, and 'xnli' needs a classifier, which training alone makes; write base"
    )
    assert done.returncode != 0
    assert says in done.stdout
