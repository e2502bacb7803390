"""Finished runs of four configurations: of the demo's sources (a real run), of the controls, of the Hub's sources, and
of a person's files.

The three others need no run: their outputs are empty files that Snakemake was told to take for finished (``--touch``).
What a dry run then says of an edit depends on the same records.
"""

import json
from pathlib import Path

from snakemake_calls import SMALLEST, parse

ENDINGS = (".parquet", ".tsv", ".md", ".tex", ".svg", ".pdf", ".html", ".log")  # of files; others are directories


def controls_overlay(directory: Path) -> tuple[str | Path, ...]:
    """The smallest run of the controls beyond the paper."""
    overlay = {
        "run": {"tables": ["xnli_random_controls", "split_half", "relevance_spread", "perplexity_change"]},
        "tables": {"split_half": {"methods": ["lape-set1"]}, "perplexity_change": {"methods": ["lape-set1"]}},
    }
    path = directory / "controls.yaml"
    path.write_text(json.dumps(overlay), encoding="utf-8")
    return (*SMALLEST, path)


def hub_overlay(directory: Path) -> tuple[str | Path, ...]:
    """The smallest run from the Hub, with both tasks, set beside the paper's tables."""
    overlay = {
        "run": {"tables": ["xnli", "xquad"], "compare_with_paper": True},
        "tables": {name: {"interventions": ["none", "mean"]} for name in ("xnli", "xquad")},
    }
    path = directory / "hub.yaml"
    path.write_text(json.dumps(overlay), encoding="utf-8")
    return (*SMALLEST, "tests/hub/hub.yaml", path)


def files_overlay(directory: Path) -> tuple[str | Path, ...]:
    """The smallest run with text, tasks and one model from files, which it makes (empty)."""
    for language in ("en", "vi", "hi"):
        for name in (f"text/{language}.jsonl", f"xnli/{language}.train.tsv", f"xnli/{language}.test.tsv"):
            _touch(directory / "data" / name)
        _touch(directory / f"data/xquad/xquad.{language}.json")
    for name in ("data/other/train.json", "data/squad/train-v1.1.json", "data/own/model.safetensors"):
        _touch(directory / name)
    for name in ("text", "xnli", "xquad", "own"):  # the same files elsewhere, for an edit of each pattern
        (directory / f"data/other-{name}").symlink_to(directory / "data" / name)
    overlay = {
        "data": str(directory / "data"),
        "run": {"models": ["own"]},
        "models": {"own": {"source": "files", "title": "Own", "path": str(directory / "data/own")}},
        "corpus": {"source": "files"},
        "tasks": {"xnli": {"source": "files"}, "xquad": {"source": "files", "train": "squad"}},
        "tables": {"xnli_finetuning": {"models": ["own"]}, "xnli_random_neurons": {"models": ["own"]}},
    }
    path = directory / "files.yaml"
    path.write_text(json.dumps(overlay), encoding="utf-8")
    return (*SMALLEST, path)


def _touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def take_for_finished(directory: Path, configs: tuple[str | Path, ...]) -> None:
    """Empty outputs of the whole run, with Snakemake's record of each."""
    listed = parse(directory, "--summary", configs=configs)
    assert listed.returncode == 0, listed.stdout
    lines = [line.split("\t") for line in listed.stdout.splitlines()]
    header = next(i for i, words in enumerate(lines) if words[0] in ("output_file", "filename"))
    for name, *_ in lines[header + 1 :]:
        if name.endswith(ENDINGS):
            _touch(directory / name)
        elif name:  # snapshots and adapters
            (directory / name).mkdir(parents=True, exist_ok=True)
    done = parse(directory, "--touch", "--forceall", "--quiet=rules", configs=configs)
    assert done.returncode == 0, done.stdout
