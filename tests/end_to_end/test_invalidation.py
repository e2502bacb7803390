"""What an edit of the configuration runs again: what it must, and nothing else."""

import json
import os
import shutil
import subprocess
import sys
import time

import pytest
from checkouts import edited_checkout
from rerun_counts import COUNTS, XQUAD_FROM_FINETUNING_ON, with_what_follows
from snakemake_calls import ROOT, SMALLEST, job_counts, planned

# Edits that docs/invalidation.md has no row of: its rows are counted in test_invalidation_table.
EDITS = {
    "nothing": ({}, {}),
    "activations.batch_tokens, by memory": ({"activations": {"batch_tokens": None}}, {}),
    "finetuning.xquad.rank": ({"finetuning": {"xquad": {"rank": 8}}}, XQUAD_FROM_FINETUNING_ON),
    "tables.xnli.interventions, zero less": (
        {"tables": {"xnli": {"interventions": ["none"]}}},
        {"render_table": 2, "compare": 1},  # xnli_finetuning's are corrected for fewer
    ),
    "run.compare_with_paper, of other models": ({"run": {"compare_with_paper": True}}, {}),
    "run.tables, one more": (
        {"run": {"tables": ["xnli", "xquad_all_interventions"]}},
        {"evaluate": 7, "render_table": 2, "compare": 2, "draw_curves": 1},
    ),
}


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
        COUNTS["methods.<lape>.top_fraction"],  # nothing of act-prob-90p
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
        {"evaluate": 4, "render_table": 1, "compare": 1},
    ),
}


@pytest.mark.parametrize(("file", "old", "new", "expected"), CODE_EDITS.values(), ids=CODE_EDITS)
def test_an_edit_of_the_code_runs_again_what_it_means(finished, tmp_path, file, old, new, expected):
    environment = edited_checkout(tmp_path, file, old, new)
    files = ["--configfile", *(str(ROOT / name) for name in SMALLEST)]
    options = ["--profile", str(ROOT / "profiles/local"), "--directory", str(finished), "--cores", "2", "--nocolor"]
    command = [sys.executable, "-m", "snakemake", *files, *options]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "check": False}
    done = subprocess.run(
        [*command, "--nolock", "--dry-run", "--quiet=rules"], env=environment, cwd=tmp_path, **options
    )
    assert done.returncode == 0, done.stdout
    assert job_counts(done.stdout) == with_what_follows(expected)
