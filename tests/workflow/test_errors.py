"""Faults of the configuration and of the user's files, told through the command line."""

import json
import os
import shutil
from collections import Counter
from pathlib import Path

import pytest
import yaml
from snakemake.utils import update_config
from snakemake_calls import ROOT, SMALLEST, job_counts, parse, snakemake

from langneurons.config.load import load_config
from langneurons.experiment.own_files import own_files
from langneurons.tasks.xnli import LABELS

FAULTS = {
    "model": ({"run": {"models": ["tiny-lama"]}}, ["run.models[0]", "'tiny-lama'", "did you mean 'tiny-llama'"]),
    "method": (
        {"method_groups": {"LAPE": {"vi": "lape-set9"}}},
        ["method_groups.LAPE.vi", "unknown method 'lape-set9'", "lape-set1, lape-set6"],
    ),
    "kind of method": ({"methods": {"lape-set1": {"kind": "lap"}}}, ["methods.lape-set1.kind", "'lap'", "lape"]),
    "figure's method": ({"figures": {"methods": ["lape"]}}, ["figures.methods[0]", "unknown method 'lape'"]),
    "language": ({"language_sets": {"set1": ["en", "xx"]}}, ["language_sets.set1[1]", "'xx'", "corpus.languages"]),
    "target language": ({"tables": {"xnli": {"languages": ["hi"]}}}, ["tables.xnli.languages[0]", "'hi'"]),
    "intervention": (
        {"tables": {"xnli": {"interventions": ["none", "median"]}}},
        ["tables.xnli.interventions[1]", "'median'", "did you mean 'mean'"],
    ),
    "percentile not collected": (
        {"tables": {"xnli": {"interventions": ["p33"]}}},
        ["tables.xnli.interventions[0]", "p33", "statistics.percentiles"],
    ),
    "percentiles 0 and 100": (
        {"statistics": {"percentiles": [0, 50, 100]}},
        ["statistics.percentiles[0]", "greater than 0", "statistics.percentiles[2]", "less than 100"],
    ),
    "budgets below 0": (
        {"corpus": {"tokens": -5}, "perplexity": {"tokens": -1}},
        ["corpus.tokens", "-5", "perplexity.tokens", "-1", "greater than 0"],
    ),
    "key": ({"evaluation": {"batch_token": 9}}, ["evaluation.batch_token: unknown key", "'batch_tokens'"]),
}


def overlay(directory, content):
    path = directory / "overlay.yaml"
    path.write_text(json.dumps(content), encoding="utf-8")  # JSON is YAML too
    return (*SMALLEST, path)


def written(directory):
    return sorted(str(p.relative_to(directory)) for p in directory.rglob("*") if p.is_file() and p.suffix != ".lock")


def expect_nothing_started(directory, done):
    assert done.returncode not in (0, None)
    assert "Job stats" not in done.stdout
    assert "most recent call last" not in done.stdout, done.stdout
    assert [path for path in written(directory) if not path.startswith(".snakemake")] == []


@pytest.mark.parametrize(("edit", "said"), FAULTS.values(), ids=FAULTS)
def test_a_fault_of_the_configuration_stops_before_any_job(tmp_path, edit, said):
    (run := tmp_path / "run").mkdir()
    done = parse(run, configs=overlay(tmp_path, edit))
    expect_nothing_started(run, done)
    assert [words for words in said if words not in done.stdout] == [], done.stdout


def test_what_yaml_misreads_stops_before_any_job(tmp_path):
    """The files are read again as text: Snakemake hands on 34 for 0042, and of two equal keys the last."""
    (run := tmp_path / "run").mkdir()
    path = tmp_path / "overlay.yaml"
    path.write_text("corpus:\n  shards: 0001\nperplexity:\n  tokens: 500\n  tokens: 600\n", encoding="utf-8")
    done = parse(run, configs=(*SMALLEST, path))
    expect_nothing_started(run, done)
    assert f"{path}, line 2: corpus.shards: YAML reads 0001 as octal, 1; write 1" in done.stdout
    assert f"{path}, line 5: perplexity.tokens: the key is already in line 4" in done.stdout


@pytest.mark.parametrize("key", ["results", "resources"])
@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("file", "file is a file, and no directory; move it"),
        ("file/below", "file is a file, and no directory; move it"),
        ("link", "link is a symbolic link to /nowhere/at/all, which is not there; make that directory"),
    ],
)
def test_a_place_that_is_no_directory_is_told_by_its_key(tmp_path, key, place, says):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("/nowhere/at/all")
    done = parse(tmp_path, "--dry-run", "--config", f"{key}={place}")
    assert done.returncode != 0
    assert f"  {key}: {says}, or name another directory: --config {key}=DIRECTORY\n" in done.stdout
    assert "NotADirectoryError" not in done.stdout and "Traceback" not in done.stdout


def test_a_place_may_be_a_link_to_a_directory(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    assert parse(tmp_path, "--dry-run", "--quiet=rules", "--config", "results=link").returncode == 0


def test_a_value_of_the_command_line_is_told_by_its_key(tmp_path):
    done = parse(tmp_path, "--config", "corpus={tokens: many}", "results=")
    expect_nothing_started(tmp_path, done)
    assert "corpus.tokens: is 'many'; input should be a valid integer" in done.stdout
    assert "results: is None" in done.stdout


OWN = {"corpus": {"source": "files"}, "tasks": {task: {"source": "files"} for task in ("xnli", "xquad")}}


def own(directory, *configs):
    """The user's files that the smallest run needs, of which none is there, by key."""
    raw = {}
    for config in (ROOT / "config/config.yaml", *(ROOT / name for name in configs)):
        update_config(raw, yaml.safe_load(config.read_text(encoding="utf-8")))
    return own_files(load_config(raw | {"data": str(directory)}))


def test_all_missing_files_are_told_at_once_by_their_keys(tmp_path):
    (run := tmp_path / "run").mkdir()
    files = overlay(tmp_path, OWN | {"data": str(tmp_path / "data")})
    wanted = own(tmp_path / "data", *files)
    assert {key for key, _ in wanted} == {f"{key}.files.pattern" for key in ("corpus", "tasks.xnli", "tasks.xquad")}
    for dry in ([], ["--dry-run"]):
        done = parse(run, *dry, configs=files)
        expect_nothing_started(run, done)
        assert f"Of the files that this configuration reads, {len(wanted)} files are missing." in done.stdout
        assert [line for line in wanted if done.stdout.count(f"  {line[0]}: no file {line[1]}\n") != 1] == []
        assert "Traceback" not in done.stdout


def test_what_is_told_is_what_a_run_needs(tmp_path):
    """With these files and no other every job has its input, and each file is the input of one import at least."""
    (run := tmp_path / "run").mkdir()
    files = overlay(tmp_path, OWN | {"data": str(tmp_path / "data")})
    for _, path in own(tmp_path / "data", *files):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text("there")
    done = parse(run, "--dry-run", "--quiet=rules", configs=files)
    assert done.returncode == 0, done.stdout
    jobs = job_counts(done.stdout)
    counted = Counter(key.split(".files")[0] for key, _ in own(tmp_path / "data", *files))
    assert jobs["import_corpus_shard"] % counted["corpus"] == 0
    assert jobs["import_task"] >= counted["tasks.xnli"] + counted["tasks.xquad"]


def test_a_target_asks_for_its_own_files_alone(tmp_path):
    """A table of XNLI needs no file of XQuAD."""
    (run := tmp_path / "run").mkdir()
    files = overlay(tmp_path, {"tasks": OWN["tasks"], "data": str(tmp_path / "data")})
    for key, path in own(tmp_path / "data", *files):
        if key == "tasks.xnli.files.pattern":
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_text("there")
    done = parse(run, "--dry-run", "results/tables/xnli.tsv", configs=files)
    assert done.returncode == 0 and "missing" not in done.stdout, done.stdout
    assert parse(run, "--dry-run", configs=files).returncode != 0


def test_a_missing_model_is_told_by_its_key(tmp_path):
    (run := tmp_path / "run").mkdir()
    model = {"source": "files", "title": "Mine", "path": str(tmp_path / "none")}
    edit = {"models": {"mine": model}, "run": {"models": ["mine"], "tables": []}, "figures": {"methods": ["lape-set1"]}}
    done = parse(run, configs=overlay(tmp_path, edit))
    expect_nothing_started(run, done)
    assert (
        f"a file is missing. Put each there, or correct its key:\n  models.mine.path: no file {tmp_path / 'none'}"
        in (done.stdout)
    )


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    """A run over files of which some are faulty: the process, its directory, that of the files."""
    base = tmp_path_factory.mktemp("faulty")
    for folder in ("run", "data/text", "data/xnli", "data/xquad"):
        (base / folder).mkdir(parents=True)
    write_good_files(base / "data")
    (base / "data/text/vi.jsonl").write_bytes(b"")
    (base / "data/text/hi.jsonl").write_bytes(b'{"id": "1", "text": "ok"}\n{"id": "2", "text": "\xff\xfe"}\n')
    (base / "data/text/fr.jsonl").write_text('{"id": "1", "text": "bon"}\n{"id": "2"}\n')
    (base / "data/xnli/en.train.tsv").write_text("premise\tlabel\nA dog.\tneutral\n")
    (base / "data/xnli/vi.test.tsv").write_text("premise\thypothesis\tlabel\nA\tB\tneutral\nA\tB\tmaybe\n")
    (base / "data/xquad/xquad.vi.json").write_text('{"data": [{"paragraphs": [{"context": "c"}]}]}')
    return run_files(base), base / "run", base / "data"


def write_good_files(data):
    lines = [json.dumps({"id": str(i), "text": f"Sentence number {i}."}) for i in range(9)]
    (data / "text/en.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    rows = [f"Premise {i}.\tHypothesis {i}.\t{label}" for i, label in enumerate(LABELS)]
    (data / "xnli/en.test.tsv").write_text("\n".join(["premise\thypothesis\tlabel", *rows]) + "\n", encoding="utf-8")
    question = {"answers": [{"text": "Here", "answer_start": 0}]}
    questions = [question | {"id": str(i), "question": f"Where is {i}?"} for i in range(10)]
    squad = {"data": [{"paragraphs": [{"context": "Here.", "qas": questions}]}]}
    (data / "xquad/xquad.en.json").write_text(json.dumps(squad), encoding="utf-8")


TARGETS = {
    "corpus/en/0000.parquet": None,
    "corpus/en/0001.parquet": None,
    "corpus/vi/0000.parquet": ["{data}/text/vi.jsonl: the file is empty"],
    "corpus/hi/0001.parquet": ["{data}/text/hi.jsonl, line 2: not UTF-8"],
    "corpus/fr/0000.parquet": ["{data}/text/fr.jsonl, line 2: lacks text"],
    "tasks/xnli/en.test.parquet": None,
    "tasks/xnli/en.train.parquet": ["{data}/xnli/en.train.tsv, line 1: has no column hypothesis"],
    "tasks/xnli/vi.test.parquet": ["{data}/xnli/vi.test.tsv, line 3", "'maybe'", *LABELS],
    "tasks/xquad/en.train.parquet": None,
    "tasks/xquad/en.test.parquet": None,
    "tasks/xquad/vi.test.parquet": ["{data}/xquad/xquad.vi.json: data[0].paragraphs[0] has no list 'qas'"],
}
GOOD = [target for target, said in TARGETS.items() if said is None]
BAD = {target: said for target, said in TARGETS.items() if said}


def run_files(base):
    edit = {"data": str(base / "data"), "corpus": {"source": "files", "languages": ["en", "vi", "hi", "fr"]}}
    edit["tasks"] = {task: {"source": "files"} for task in ("xnli", "xquad")}
    targets = [f"resources/{target}" for target in TARGETS]
    return snakemake(base / "run", "--keep-going", *targets, configs=overlay(base, edit))


@pytest.mark.parametrize(("target", "said"), BAD.items(), ids=BAD)
def test_a_faulty_file_is_told_with_its_line(faulty, target, said):
    done, _, data = faulty
    assert done.returncode not in (0, None)
    assert [words for words in said if words.format(data=data) not in done.stdout] == [], done.stdout


def test_a_faulty_file_leaves_no_output_and_no_traceback(faulty):
    done, run, _ = faulty
    assert "most recent call last" not in done.stdout, done.stdout
    told = [g.replace(".parquet", ".quality.tsv") for g in GOOD if g.startswith("corpus/")]
    there = [path for path in written(run) if path.startswith("resources/")]
    assert there == sorted(f"resources/{g}" for g in [*GOOD, *told])


def test_mended_files_are_taken_and_what_was_finished_stays(faulty):
    done, run, data = faulty
    assert done.returncode
    before = {good: os.stat(run / "resources" / good).st_mtime_ns for good in GOOD}
    for language in ("vi", "hi", "fr"):
        (data / f"text/{language}.jsonl").write_bytes((data / "text/en.jsonl").read_bytes())
    for name in ("en.train.tsv", "vi.test.tsv"):
        (data / "xnli" / name).write_bytes((data / "xnli/en.test.tsv").read_bytes())
    (data / "xquad/xquad.vi.json").write_bytes((data / "xquad/xquad.en.json").read_bytes())
    again = run_files(run.parent)
    assert again.returncode == 0, again.stdout
    assert all((run / "resources" / target).is_file() for target in TARGETS)
    assert before == {good: os.stat(run / "resources" / good).st_mtime_ns for good in GOOD}


def models(**sections):
    """An overlay that runs these models alone."""
    names = list(sections)
    tables = {name: {"models": names} for name in ("xnli_finetuning", "xnli_random_neurons")}
    return {"run": {"models": names}, "models": sections, "tables": tables}


def test_a_snapshot_that_cannot_be_used_stops_before_any_job(tmp_path):
    """A Mixtral, a phi3 without a gate_proj of its own, modules that Llama does not have, 16 positions."""
    from langneurons.demo.pretraining import build_model, train_tokenizer

    (run := tmp_path / "run").mkdir()
    shape = {"architecture": "llama", "layers": 1, "hidden": 64, "neurons": 64, "heads": 2, "key_value_heads": 1}
    train_tokenizer(["Anna lives in Paris. " * 9], 300, tmp_path / "llama")
    build_model(shape | {"head_dim": 32, "vocabulary": 300}, seed=3).save_pretrained(str(tmp_path / "llama"))
    config = json.loads((tmp_path / "llama/config.json").read_text())
    edits = {"mixtral": {"model_type": "mixtral", "num_local_experts": 8}, "phi3": {"model_type": "phi3"}}
    edits["short"] = {"max_position_embeddings": 16}
    for name, edit in edits.items():
        shutil.copytree(tmp_path / "llama", tmp_path / name)
        (tmp_path / name / "config.json").write_text(json.dumps(config | edit))
    sections = {name: {"source": "files", "title": name, "path": str(tmp_path / name)} for name in (*edits, "llama")}
    sections["llama"]["attention_targets"] = ["q_proj", "query_key_value"]
    done = parse(run, "--cores", "1", configs=overlay(tmp_path, models(**sections)))
    assert done.returncode not in (0, None)
    for line in (
        f"models.mixtral: {tmp_path}/mixtral/config.json: model_type 'mixtral' is a mixture of experts",
        "finetuning.xnli.targets: the feed-forward layers of models.phi3 are fused, without gate_proj of their own",
        "models.llama.attention_targets: layer 0's attention of the model in",
        "no query_key_value; write some of q_proj, k_proj, v_proj, o_proj",
        f"; the model in {tmp_path}/short has 16 positions (max_position_embeddings in its config.json): write at",
    ):
        assert line in done.stdout
    assert "Traceback" not in done.stdout
    assert not any((run / folder).exists() for folder in ("results", "resources"))
