"""``langneurons hub``: a repository's commit, and the configuration's entry for a model or a data set.

``langneurons hub commit meta-llama/Llama-3.1-8B`` prints the commit that the configuration asks for (a data set's
name has ``datasets/`` before it); ``hub model`` and ``hub dataset`` print the whole entry, to paste.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from langneurons.hub.downloads import Repository, fetch
from langneurons.hub.errors import api, as_json, check_endpoint, check_settings, hub_faults
from langneurons.models.checks import check_config
from langneurons.models.sources import snapshot_files

BITS = {"float64": 64, "float32": 32}  # others: 16


def describe(kind: str, name: str, branch: str = "main") -> dict[str, Any]:
    """What the Hub says of a repository at a branch, with its commit as ``sha``.

    ``kind`` is "model" or "dataset", ``name`` is ``owner/name``. ValueError, one line, where the Hub refuses.
    """
    check_endpoint()
    from huggingface_hub import get_session
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise ValueError(f"'{name}' is no repository; write owner/name, or datasets/owner/name of a data set")
    check_settings()
    with hub_faults():
        answer = get_session().get(api(kind, name, "revision", branch), headers=build_hf_headers(), timeout=30)
        hf_raise_for_status(answer)
    described = as_json(answer, name)
    commit = described.get("sha") if isinstance(described, dict) else None
    if not isinstance(described, dict) or not isinstance(commit, str) or not re.fullmatch(r"[0-9a-f]{40}", commit):
        raise ValueError(f"{name}: the Hub's answer has no commit of {branch}; check HF_ENDPOINT, or try again later")
    return described


def commit_of(name: str, branch: str = "main") -> str:
    """The commit that a branch of a repository is at now: 40 hexadecimal digits.

    ``name`` is ``owner/name`` of a model, or ``datasets/owner/name``. ValueError, one line, where the Hub refuses.
    """
    repository = name.removeprefix("datasets/")
    return describe("model" if repository == name else "dataset", repository, branch)["sha"]


def model_entry(name: str, branch: str = "main") -> str:
    """The entry of ``models`` for a repository, as YAML, of a model that the library knows.

    Its architecture is ``model_type`` of config.json; its number of parameters is the Hub's own count, or follows
    from the size of the weights. ValueError where the Hub refuses, or a job could not use the model.
    """
    described = describe("model", name, branch)
    repository = Repository("model", name, described["sha"])
    with hub_faults(), tempfile.TemporaryDirectory() as folder:
        files = snapshot_files(repository)
        fetch(repository, next(file for file in files if file.path == "config.json"), Path(folder) / "config.json")
        try:
            config = check_config(folder)[0]
        except ValueError as error:
            raise ValueError(str(error).replace(folder, name)) from None
    count, source = _parameters(described), "by the Hub's count"
    if count is None:
        bits = BITS.get(str(config.get("dtype") or config.get("torch_dtype")), 16)
        size = sum(file.size for file in files if file.path.endswith(".safetensors"))
        count, source = size * 8 // bits, f"by the weights' size, at {bits} bits each"
    title = name.rpartition("/")[2]
    key = re.sub(r"[^a-z0-9.-]+", "-", title.lower()).strip("-.")
    return "\n".join(
        [
            "models:",
            f"  {key}:",
            f"    title: {title.replace('-', ' ').replace('_', ' ')}",
            "    source: hub",
            f"    repository: {name}",
            f"    revision: {repository.revision}",
            f"    parameters: {count:.3g}  # {source}",
            f"    architecture: {config['model_type']}",
        ]
    )


def _parameters(described: dict[str, Any]) -> int | None:
    counted = described.get("safetensors")
    total = counted.get("total") if isinstance(counted, dict) else None
    return total if isinstance(total, int) and total > 0 else None


def dataset_entry(name: str, branch: str = "main") -> str:
    """The ``hub`` keys of a data set, as YAML: they go under ``corpus`` or under a task."""
    commit = describe("dataset", name.removeprefix("datasets/"), branch)["sha"]
    return f"hub:\n  repository: {name.removeprefix('datasets/')}\n  revision: {commit}"


def main(arguments: list[str]) -> int:
    """``commit NAME …``, one line per repository; ``model NAME`` and ``dataset NAME``, YAML; the exit status."""
    parser = argparse.ArgumentParser(
        prog="langneurons hub", description="Commits of the Hugging Face Hub, and entries of the configuration."
    )
    commands = parser.add_subparsers(required=True, dest="command")
    for command, names, what in (
        ("commit", "+", "print the commit to write as a revision in the configuration"),
        ("model", 1, "print the entry of models: commit, number of parameters, architecture"),
        ("dataset", 1, "print the keys of a data set: they go below corpus.hub, or hub of a task"),
    ):
        added = commands.add_parser(command, help=what, description=what.capitalize() + ".")
        added.add_argument("names", nargs=names, metavar="NAME", help="owner/name; commit: or datasets/owner/name")
        added.add_argument("--branch", default="main", help="branch or tag to read (main)")
    asked = parser.parse_args(arguments)
    try:
        for name in asked.names:
            if asked.command == "commit":
                print(f"{commit_of(name, asked.branch)}  {name}")
            else:
                print((model_entry if asked.command == "model" else dataset_entry)(name, asked.branch))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
