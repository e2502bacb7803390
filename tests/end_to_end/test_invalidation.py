"""What an edit of the configuration runs again: what it must, and nothing else."""

import json
import os
import shutil
import subprocess
import sys
import time

import pytest
from snakemake_calls import ROOT, SMALLEST, job_counts, planned

# 2 models; 3 languages in 2 shards each, of 2 of them 7 statistics; 6 fine-tunings (4 on xnli, 2 of them of neurons);
# 17 conditions: 11 on xnli, 6 on xquad; 7 with an intervention, 4 of them zero. Methods: lape-set1 and act-prob-90p
# of both models (drawn: a job for the neurons, a job for perplexity), lape-set6 and random of one.
FROM_IDENTIFICATION_ON = {
    "draw_neurons": 4,
    "finetune": 2,
    "draw_curves": 1,
    "evaluate": 9,
    "measure_perplexity": 4,
    "draw_perplexity": 4,
}
FROM_COLLECTION_ON = FROM_IDENTIFICATION_ON | {
    "collect_activations": 12,
    "merge_activations": 6,
    "summarize_activations": 28,
    "identify_neurons": 6,
    "render_table": 5,
}
FROM_TOKENS_ON = FROM_COLLECTION_ON | {"pack_tokens": 12}
FROM_TEXT_ON = FROM_TOKENS_ON | {"pretrain_demo_model": 2, "pack_heldout_tokens": 6, "finetune": 6, "evaluate": 17}
FROM_TEXT_ON |= {"draw_curves": 4, "quantize_model": 1}
OF_ONE_MODEL = {
    "pretrain_demo_model": 1,
    "quantize_model": 1,
    "pack_tokens": 6,
    "pack_heldout_tokens": 3,
    "collect_activations": 6,
    "merge_activations": 3,
    "summarize_activations": 14,
    "identify_neurons": 2,
    "draw_neurons": 2,
    "finetune": 2,
    "draw_curves": 2,
    "evaluate": 7,
    "measure_perplexity": 2,
    "draw_perplexity": 2,
    "render_table": 3,
}
QUANTIZED_ANEW = {
    rule: count
    for rule, count in OF_ONE_MODEL.items()
    if rule not in ("pretrain_demo_model", "quantize_model", "pack_tokens", "pack_heldout_tokens")
}
XNLI_FROM_FINETUNING_ON = {"finetune": 4, "draw_curves": 2, "evaluate": 11, "render_table": 3}
XQUAD_FROM_FINETUNING_ON = {"finetune": 2, "draw_curves": 2, "evaluate": 6, "render_table": 1}

EDITS = {
    "nothing": ({}, {}),
    # What changes speed alone.
    "activations.batch_tokens": ({"activations": {"batch_tokens": 512}}, {}),
    "activations.batch_tokens, by memory": ({"activations": {"batch_tokens": None}}, {}),
    "perplexity.batch_tokens": ({"perplexity": {"batch_tokens": 512}}, {}),
    "evaluation.batch_tokens": ({"evaluation": {"batch_tokens": 256}}, {}),
    # What only batch percentiles read, and none are asked for.
    "activations.every": ({"activations": {"every": 2, "reference_tokens": 1024}}, {}),
    # The text.
    "seed": (
        {"seed": 43},
        FROM_TEXT_ON | {"write_demo_corpus": 6, "write_demo_task": 6},
    ),
    "corpus.demo.documents": ({"corpus": {"demo": {"documents": 41}}}, FROM_TEXT_ON | {"write_demo_corpus": 6}),
    "corpus.heldout_fraction": ({"corpus": {"heldout_fraction": 0.12}}, FROM_TEXT_ON),
    "corpus.tokens": ({"corpus": {"tokens": 5000}}, FROM_TOKENS_ON),
    "perplexity.tokens": (
        {"perplexity": {"tokens": 384}},
        {"pack_heldout_tokens": 6, "measure_perplexity": 4, "draw_perplexity": 4},
    ),
    # The models.
    "models.tiny-mistral.steps": ({"models": {"tiny-mistral": {"steps": 13}}}, OF_ONE_MODEL),
    "models.tiny-mistral.quantization": ({"models": {"tiny-mistral": {"quantization": "none"}}}, QUANTIZED_ANEW),
    "models.tiny-llama.title": (
        {"models": {"tiny-llama": {"title": "Other"}}},
        {"render_table": 5, "draw_neurons": 2, "draw_perplexity": 2, "draw_curves": 2},
    ),
    # Activations and statistics.
    "activations.batch_percentiles": ({"activations": {"batch_percentiles": [90]}}, FROM_COLLECTION_ON),
    "statistics.percentiles, 99 more": (
        {"statistics": {"percentiles": [5, 10, 25, 50, 75, 90, 95, 99]}},
        {},
    ),
    "statistics.site": (
        {"statistics": {"site": "act"}},
        {"summarize_activations": 28, "evaluate": 3, "render_table": 3},
    ),
    # Methods. Random neurons copy the numbers of lape-set1.
    "methods.lape-set1.top_fraction": (
        {"methods": {"lape-set1": {"top_fraction": 0.04}}},
        {
            "identify_neurons": 3,
            "draw_neurons": 2,
            "finetune": 2,
            "draw_curves": 1,
            "evaluate": 7,
            "measure_perplexity": 2,
            "draw_perplexity": 2,
            "render_table": 4,
        },
    ),
    "methods.act-prob-90p.threshold": (
        {"methods": {"act-prob-90p": {"threshold": "model"}}},
        {
            "identify_neurons": 2,
            "draw_neurons": 2,
            "evaluate": 2,
            "measure_perplexity": 2,
            "draw_perplexity": 2,
            "render_table": 1,
        },
    ),
    "methods.random.seed": (
        {"methods": {"random": {"seed": 9}}},
        {"identify_neurons": 1, "finetune": 1, "draw_curves": 1, "evaluate": 1, "render_table": 1},
    ),
    # Tasks, fine-tuning, interventions.
    # Of the source language's test split the curves show the loss.
    "tasks.xnli.demo.test": (
        {"tasks": {"xnli": {"demo": {"test": 13}}}},
        XNLI_FROM_FINETUNING_ON | {"write_demo_task": 2},
    ),
    "tasks.xnli.demo.train": (
        {"tasks": {"xnli": {"demo": {"train": 32}}}},
        XNLI_FROM_FINETUNING_ON | {"write_demo_task": 1},
    ),
    "tasks.xnli.max_tokens": ({"tasks": {"xnli": {"max_tokens": 120}}}, XNLI_FROM_FINETUNING_ON),
    "tasks.xquad.prompt": ({"tasks": {"xquad": {"prompt": "{context} {question}\n"}}}, XQUAD_FROM_FINETUNING_ON),
    "tasks.xquad.max_new_tokens": (
        {"tasks": {"xquad": {"max_new_tokens": 4}}},
        {"evaluate": 6, "render_table": 1},
    ),
    "tasks.xquad.metric": ({"tasks": {"xquad": {"metric": "model_tokens"}}}, {"render_table": 1}),
    "finetuning.xnli.learning_rate": ({"finetuning": {"xnli": {"learning_rate": 1e-4}}}, XNLI_FROM_FINETUNING_ON),
    # Without neurons there are no targets, and no result depends on how its memory was spent.
    "finetuning.xnli.targets": (
        {"finetuning": {"xnli": {"targets": ["gate_proj", "down_proj"]}}},
        {"finetune": 2, "draw_curves": 1, "evaluate": 3, "render_table": 2},
    ),
    "finetuning.xnli.gradient_checkpointing": ({"finetuning": {"xnli": {"gradient_checkpointing": True}}}, {}),
    "finetuning.xquad.rank": ({"finetuning": {"xquad": {"rank": 8}}}, XQUAD_FROM_FINETUNING_ON),
    "interventions.site": (
        {"interventions": {"site": "gate"}},
        {"evaluate": 7, "measure_perplexity": 4, "draw_perplexity": 4, "render_table": 3},
    ),
    # Tables and figures: new conditions alone are evaluated.
    "tables.xnli.interventions, mean more": (
        {"tables": {"xnli": {"interventions": ["none", "zero", "mean"]}}},
        {"evaluate": 4, "render_table": 1},
    ),
    "tables.xnli.interventions, zero less": (
        {"tables": {"xnli": {"interventions": ["none"]}}},
        {"render_table": 1},
    ),
    "tables.xnli.models, one less": ({"tables": {"xnli": {"models": ["tiny-llama"]}}}, {"render_table": 1}),
    "tables.activation_statistics.columns": (
        {"tables": {"activation_statistics": {"columns": ["mean", "p50"]}}},
        {"summarize_activations": 4, "render_table": 1},
    ),
    "significance.level": ({"significance": {"level": 0.9}}, {"render_table": 4}),
    "significance.resamples": ({"significance": {"resamples": 500}}, {"render_table": 1}),
    "run.compare_with_paper, of other models": ({"run": {"compare_with_paper": True}}, {}),
    "run.tables, one more": (
        {"run": {"tables": ["xnli", "xquad_all_interventions"]}},
        {"evaluate": 7, "render_table": 1, "draw_curves": 1},
    ),
    "run.tables, one less": ({"run": {"tables": ["xquad"]}}, {"write_report": 1}),
    "figures.width": ({"figures": {"width": 400}}, {"draw_neurons": 4, "draw_perplexity": 4, "draw_curves": 4}),
    "figures.methods, one more": (
        {"figures": {"methods": ["lape-set1", "act-prob-90p", "lape-set6"]}},
        {"identify_neurons": 1, "draw_neurons": 2, "measure_perplexity": 2, "draw_perplexity": 2},
    ),
}


def with_what_follows(expected):
    """The report shows every table and figure."""
    shown = any(rule.startswith(("render", "draw")) for rule in expected)
    return expected | ({"write_report": 1} if shown else {})


@pytest.mark.parametrize(("edit", "expected"), EDITS.values(), ids=EDITS)
def test_an_edit_runs_again_what_it_must_and_no_more(finished, tmp_path, edit, expected):
    overlay = tmp_path / "edit.yaml"
    overlay.write_text(json.dumps(edit), encoding="utf-8")  # JSON is YAML too
    assert planned(finished, configs=(*SMALLEST, overlay)) == with_what_follows(expected)


@pytest.mark.parametrize("profile", ["demo", "local", "slurm"])
def test_another_profile_runs_nothing_again(finished, profile):
    assert planned(finished, "--profile", ROOT / "profiles" / profile) == {}


def test_another_number_of_cores_runs_nothing_again(finished):
    assert planned(finished, "--cores", "1", "--set-threads", "evaluate=1", "collect_activations=4") == {}


def test_other_resources_run_nothing_again(finished):
    edits = ["evaluate:mem_mb=9000", "evaluate:runtime=5", "finetune:mem_mb=9000"]
    assert planned(finished, "--set-resources", *edits, "--default-resources", "mem_mb=1000") == {}


@pytest.fixture(scope="module")
def copied(finished, tmp_path_factory):
    """A copy of the finished run, made elsewhere as `cp -a` makes it."""
    directory = tmp_path_factory.mktemp("copied") / "elsewhere"
    shutil.copytree(finished, directory)
    return directory


def test_touched_files_and_a_moved_directory_run_nothing_again(copied):
    """Every file but Snakemake's own, at dates in an order of chance."""
    assert planned(copied, "--profile", ROOT / "profiles/local") == {}
    files = [path for path in copied.rglob("*") if path.is_file() and not path.name.startswith(".snakemake")]
    now = time.time()
    for i, path in enumerate(sorted(path for path in files if ".snakemake" not in path.parts)):
        os.utime(path, (now + i * 7919 % 1000, now + i * 7919 % 1000))
    assert planned(copied, "--profile", ROOT / "profiles/local") == {}


# What the checkout itself is edited with: a file, a text in it, another, and what then runs again.
CODE_EDITS = {
    "nothing: a new checkout": ("README.md", "#", "#", {}),
    "a comment": ("src/langneurons/methods/lape.py", "import logging", "# Why.\nimport logging", {}),
    "LAPE": (
        "src/langneurons/methods/lape.py",
        "np.log(",
        "np.log2(",
        # As of lape-set1's top_fraction, and lape-set6's own masks: nothing of act-prob-90p.
        EDITS["methods.lape-set1.top_fraction"][1] | {"identify_neurons": 4},
    ),
    "another architecture's line": (
        "src/langneurons/models/architectures.py",
        '"cohere": Architecture(classifier=False),',
        '"cohere": Architecture(), "cohere9": Architecture(),',
        {},
    ),
    "articles of a language that is not evaluated": ("src/langneurons/tasks/metrics.py", "unos|unas|el", "unos|el", {}),
    # XQuAD in vi: of two models, without an intervention and with one.
    "articles of a language": (
        "src/langneurons/tasks/metrics.py",
        "chiếc|những",
        "những",
        {"evaluate": 4, "render_table": 1},
    ),
}


@pytest.mark.parametrize(("file", "old", "new", "expected"), CODE_EDITS.values(), ids=CODE_EDITS)
def test_an_edit_of_the_code_runs_again_what_it_means(finished, tmp_path, file, old, new, expected):
    """In a checkout elsewhere, all of whose files are newer than the results."""
    for name in ("src", "workflow", "config", "Snakefile", "environment.yml", "README.md"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, tmp_path / name)
    for path in [path for path in tmp_path.rglob("*") if path.is_file()]:
        os.utime(path)
    text = (tmp_path / file).read_text(encoding="utf-8")
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new), encoding="utf-8")
    files = ["--configfile", *(str(ROOT / name) for name in SMALLEST)]
    options = ["--profile", str(ROOT / "profiles/local"), "--directory", str(finished), "--cores", "2", "--nocolor"]
    command = [sys.executable, "-m", "snakemake", *files, *options]
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "src")}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "check": False}
    done = subprocess.run(
        [*command, "--nolock", "--dry-run", "--quiet=rules"], env=environment, cwd=tmp_path, **options
    )
    assert done.returncode == 0, done.stdout
    assert job_counts(done.stdout) == with_what_follows(expected)
