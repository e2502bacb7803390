"""What is added to a finished run brings its own jobs, and no job of what was there."""

import json
import re

import pytest
import worlds
from snakemake_calls import SMALLEST, job_counts, parse

REPORT = "The report"
MODELS = ("tiny-llama", "tiny-mistral")
TABLES = ["xnli", "xquad", "xnli_finetuning", "activation_statistics", "xnli_random_neurons"]  # of smallest.yaml
PERCENTILE = {"statistics": {"percentiles": [5, 10, 25, 50, 75, 90, 95, 99]}}
CORRECTED = ("Comparisons: xnli.intervention", "Table xnli", "Table xnli_finetuning")
"""What is made again, without an evaluation, where one comparison more answers XNLI's question: its correction."""
ADDITIONS = {
    "a percentile that nothing names": (PERCENTILE, []),
    "a percentile and an intervention by it": (
        PERCENTILE | {"tables": {"xquad": {"interventions": ["none", "p90", "p99"]}}},
        [
            "Statistic p99 of tiny-llama on vi",
            "Statistic p99 of tiny-mistral on vi",
            "xquad in vi: tiny-llama, base, p99@lape-set1",
            "xquad in vi: tiny-mistral, base, p99@lape-set1",
            "Table xquad",
            "Comparisons: xquad.intervention",
            REPORT,
        ],
    ),
    "a method": (
        {
            "methods": {"own": {"kind": "activation_probability", "languages": ["en", "vi"], "threshold": "layer"}},
            "method_groups": {"Own": {"vi": "own"}},
            "tables": {"xnli": {"method_groups": ["LAPE", "Act Prob 90p", "Own"]}},
        },
        [
            *(f"Neurons of {model} by own/vi" for model in MODELS),
            *(f"xnli in vi: {model}, base, zero@own" for model in MODELS),
            *CORRECTED,
            REPORT,
        ],
    ),
    "another task of a kind that is there": (
        {
            "tasks": {"xnli-eos": {"kind": "xnli", "source": "demo", "languages": ["vi"], "separator": "eos"}},
            "finetuning": {
                "xnli-eos": {"rank": 8, "alpha": 16, "learning_rate": 1e-3, "batch": 8, "epochs": 1},
            },
            "tables": {
                "eos": {
                    "kind": "interventions",
                    "task": "xnli-eos",
                    "method_groups": ["LAPE"],
                    "languages": ["vi"],
                    "interventions": ["none", "zero"],
                }
            },
            "run": {"tables": [*TABLES, "eos"]},
        },
        [
            *(f"The miniature world's xnli-eos: {split}" for split in ("en train", "en test", "vi test")),
            *(f"Fine-tuning {model} on xnli-eos: base" for model in MODELS),
            *(f"xnli-eos in en: {model}, base, none" for model in MODELS),
            *(f"xnli-eos in vi: {model}, base, {value}" for model in MODELS for value in ("none", "zero@lape-set1")),
            *(f"Training curves of {model} on xnli-eos" for model in MODELS),
            "Table eos",
            "Comparisons: xnli-eos.intervention",
            REPORT,
        ],
    ),
    "two interventions": (
        {"tables": {"xquad": {"interventions": ["none", "p90", "x2", "add0.5*p90"]}}},
        [
            *(f"xquad in vi: {model}, base, {value}@lape-set1" for model in MODELS for value in ("x2", "add0.5*p90")),
            "Table xquad",
            "Comparisons: xquad.intervention",
            REPORT,
        ],
    ),
    "a table": (
        {
            "tables": {"spread": {"kind": "relevance_spread", "methods": ["act-prob-90p"]}},
            "run": {"tables": [*TABLES, "spread"]},
        },
        ["Table spread", REPORT],
    ),
}


def planned_jobs(directory, overlay, configs=SMALLEST) -> list[str]:
    """The message of every job that a dry run would start, sorted."""
    done = parse(directory, "--dry-run", configs=(*configs, overlay))
    assert done.returncode == 0, done.stdout
    found = re.findall(r"^ *Job \d+: (.*)$", done.stdout, flags=re.M)
    assert len(found) == sum(job_counts(done.stdout).values())
    return sorted(found)


@pytest.mark.parametrize(("edit", "expected"), ADDITIONS.values(), ids=ADDITIONS)
def test_an_addition_runs_its_own_jobs_alone(finished, tmp_path, edit, expected):
    overlay = tmp_path / "edit.yaml"
    overlay.write_text(json.dumps(edit), encoding="utf-8")  # JSON is YAML too
    assert planned_jobs(finished, overlay) == sorted(expected)


ADDED = ("ur", "ceb", "zh-Hant")
"""Of two letters, of three, and with a script."""


def language_overlay(language):
    """A language in the corpus and in a method whose languages do not depend on each other, and tables of it."""
    table = {"task": "xnli", "method_groups": ["Act Prob 90p"], "languages": [language]}
    return {
        "corpus": {"languages": ["en", "vi", "hi", language]},
        "methods": {"act-prob-90p": {"languages": ["en", "vi", "hi", language]}},
        "method_groups": {"Act Prob 90p": {language: "act-prob-90p"}},
        "tasks": {"xnli": {"languages": ["vi", language]}},
        "tables": {
            "added": table | {"kind": "interventions", "interventions": ["none", "p90"]},
            "added_tuned": table | {"kind": "finetuning", "neurons": ["source+target"], "interventions": ["none"]},
        },
        "run": {"tables": [*TABLES, "added", "added_tuned"]},
    }


@pytest.fixture(scope="module")
def files_run(tmp_path_factory):
    """A run from a person's files, taken for finished: its model does not train on the corpus."""
    directory = tmp_path_factory.mktemp("files")
    configs = worlds.files_overlay(directory)
    worlds.take_for_finished(directory, configs)
    for language in ADDED:
        for name in (f"text/{language}.jsonl", f"xnli/{language}.test.tsv"):
            (directory / "data" / name).touch()
    return directory, configs


@pytest.mark.parametrize("language", ADDED)
def test_a_language_runs_its_own_jobs_alone(files_run, tmp_path, language):
    """And what shows all languages of the method: its figures, its matrix of perplexities, the report."""
    directory, configs = files_run
    text = f"{directory}/data/text/{language}.jsonl"
    overlay = tmp_path / "edit.yaml"
    overlay.write_text(json.dumps(language_overlay(language)), encoding="utf-8")
    assert planned_jobs(directory, overlay, configs) == sorted(
        [
            *(f"Text of {language} from {text}, shard {shard}" for shard in ("0000", "0001")),
            *(f"Blocks of tokens: own, {language}, shard {shard}" for shard in ("0000", "0001")),
            f"Held-out blocks of tokens: own, {language}",
            *(f"Activations of own on {language}, shard {shard}" for shard in ("0000", "0001")),
            f"Merging the activations of own on {language}",
            f"Statistic p90 of own on {language}",
            f"Neurons of own by act-prob-90p/{language}",
            f"xnli from {directory}/data/xnli/{language}.test.tsv",
            *(f"xnli in {language}: own, base, {value}" for value in ("none", "p90@act-prob-90p")),
            f"Fine-tuning own on xnli: en+{language}@act-prob-90p",
            f"xnli in {language}: own, en+{language}@act-prob-90p, none",
            "Training curves of own on xnli",
            *CORRECTED,
            "Table added",
            "Table added_tuned",
            "Figures of the neurons of own by act-prob-90p",
            "Perplexity change of own by act-prob-90p",
            "Figures of the perplexity change of own by act-prob-90p",
            REPORT,
        ]
    )
