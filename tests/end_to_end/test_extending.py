"""The files of docs/extending.md as they stand there, in a finished run: they plan their own jobs alone, and run."""

import csv
import json
import random
import re
import shutil
from collections import Counter

import pytest
import yaml
from snakemake_calls import ROOT, SMALLEST, planned, snakemake

DOCUMENT = (ROOT / "docs/extending.md").read_text(encoding="utf-8")

SECOND = """
tasks:
  xnli-eos: {kind: xnli, title: XNLI (EOS), source: demo, languages: [vi], separator: eos, demo: {train: 24, test: 12}}
finetuning:
  xnli-eos: {rank: 8, alpha: 16, learning_rate: 1.0e-3, batch: 8, epochs: 1}
tables:
  eos: {kind: interventions, task: xnli-eos, models: [tiny-llama], method_groups: [LAPE], interventions: [none]}
"""
"""Another task of a kind that is there."""


def listings() -> dict[str, str]:
    """Name -> text of every listing whose first line is a comment with a file's name."""
    blocks = re.findall(r"^```\w+\n# ([\w.]+)\n(.*?)^```$", DOCUMENT, flags=re.M | re.S)
    return dict(blocks)


@pytest.fixture(scope="module")
def extended(finished, tmp_path_factory):
    """A copy of the finished run with the document's files beside it, and the configuration files."""
    run = tmp_path_factory.mktemp("extended") / "run"
    shutil.copytree(finished, run, symlinks=True)
    for name, text in listings().items():
        (run / name).write_text(text, encoding="utf-8")
    write_pairs(run / "data/paraphrases")
    second = yaml.safe_load(SECOND)
    second["run"] = {
        "tables": [*yaml.safe_load((run / "own.yaml").read_text(encoding="utf-8"))["run"]["tables"], "eos"]
    }
    (run / "second.yaml").write_text(json.dumps(second), encoding="utf-8")
    return run, (*SMALLEST, run / "own.yaml", run / "second.yaml")


def write_pairs(directory):
    """The task's data, in the layout that the document says: pairs of sentences of few words."""
    directory.mkdir(parents=True)
    draw, words = random.Random(7), ["the", "river", "is", "a", "long", "way", "from", "our", "old", "house"]
    for name, rows in (("en.train", 24), ("en.test", 10), ("vi.test", 10)):
        lines = ["sentence1\tsentence2\tlabel"]
        for i in range(rows):
            one = " ".join(draw.sample(words, 5))
            lines.append(f"{one}\t{one if i % 2 else ' '.join(draw.sample(words, 5))}\t{('different', 'same')[i % 2]}")
        (directory / f"{name}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_every_listing_is_found():
    assert sorted(listings()) == ["cap.py", "mask_sizes.py", "most_active.py", "own.yaml", "paraphrases.py"]


def test_they_plan_their_own_jobs_alone_and_run(extended):
    run, configs = extended
    # Two models. Of the method two conditions with an intervention, since none is finished; of the task source and
    # target language as they are, and the target's with an intervention.
    own = {
        "identify_neurons": 4,
        "import_task": 3,
        "finetune": 2,
        "evaluate": 4 + 6,
        "render_table": 3 + 2,  # ... and the two of XNLI, corrected for more comparisons
        "compare": 2,
        "draw_curves": 2,
    }
    second = {
        "write_demo_task": 3,
        "finetune": 1,
        "evaluate": 2,
        "render_table": 1,
        "draw_curves": 1,
        "write_report": 1,
    }
    assert planned(run, configs=configs) == dict(Counter(own) + Counter(second))
    done = snakemake(run, configs=configs, warm=True)
    assert done.returncode == 0, done.stdout[-5000:]
    assert planned(run, configs=configs) == {}
    rows = (run / "results/tables/mask_sizes.tsv").read_text(encoding="utf-8").splitlines()
    assert rows[0] == "model\tmethod\tlanguage\tneurons"
    neurons = round(0.01 * 2 * 128)  # of the smallest model's
    own = [row for row in rows if "\tmost-active\t" in row]
    assert own == [
        f"{model}\tmost-active\t{code}\t{neurons}" for model in ("Tiny Llama", "Tiny Mistral") for code in ("en", "vi")
    ]
    with (run / "results/tables/paraphrases.tsv").open(encoding="utf-8", newline="") as file:
        found = [(row["language"], row["method"]) for row in csv.DictReader(file, delimiter="\t")]
    assert found == [("en", ""), ("vi", "LAPE")] * 2
    text = (run / "results/tables/paraphrases.md").read_text(encoding="utf-8")
    assert text.startswith("**Paraphrases accuracy (%): zero-shot transfer")
    text = (run / "results/tables/eos.md").read_text(encoding="utf-8")
    assert text.startswith("**XNLI (EOS) accuracy (%): zero-shot transfer")
    report = (run / "results/report/index.html").read_text(encoding="utf-8")
    assert 'id="table-paraphrases"' in report
    # Without them the run is what it was, and XNLI's comparisons are corrected for fewer.
    assert planned(run, configs=SMALLEST) == {"render_table": 2, "compare": 1, "write_report": 1}


def test_an_edit_of_one_reruns_what_it_concerns(extended):
    run, configs = extended
    if planned(run, configs=configs):
        pytest.skip("the run with the extensions did not finish")
    method, table, task = run / "most_active.py", run / "mask_sizes.py", run / "paraphrases.py"
    text = task.read_text(encoding="utf-8")
    task.write_text(text.replace("return classified(", "return classified(  # the same\n        "), encoding="utf-8")
    assert planned(run, configs=configs) == {}
    task.write_text(text.replace('"separator": "eos"', '"separator": "spaced_eos"'), encoding="utf-8")
    trained = {"finetune": 2, "evaluate": 6, "render_table": 1, "compare": 1, "draw_curves": 2}
    trained |= {"write_report": 1}
    assert planned(run, configs=configs) == trained
    task.write_text(
        text.replace("table, tokenizer, settings), tokenizer", "table[:5], tokenizer, settings), tokenizer")
    )
    assert planned(run, configs=configs) == {"evaluate": 6, "render_table": 1, "compare": 1, "write_report": 1}
    task.write_text(text, encoding="utf-8")
    before = method.read_text(encoding="utf-8"), table.read_text(encoding="utf-8")
    method.write_text(before[0].replace("np.argsort(-share", "np.argsort(share"), encoding="utf-8")
    expected = {"identify_neurons": 4, "evaluate": 4, "render_table": 2, "compare": 1, "write_report": 1}
    assert planned(run, configs=configs) == expected
    method.write_text(before[0].replace("The most active neurons of", "Most active neurons of"), encoding="utf-8")
    assert planned(run, configs=configs) == {}
    table.write_text(before[1].replace('["Model", "Method"', '["Model", "By"'), encoding="utf-8")
    assert planned(run, configs=configs) == {"render_table": 1, "write_report": 1}
    table.write_text(before[1], encoding="utf-8")
    cap = run / "cap.py"
    cap.write_text(cap.read_text(encoding="utf-8").replace("minimum", "maximum"), encoding="utf-8")
    assert planned(run, configs=configs) == {"evaluate": 2, "render_table": 1, "compare": 1, "write_report": 1}
