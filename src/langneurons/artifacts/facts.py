"""What an intermediate file says of itself, compared with what its reader expects.

The facts of a file are a dictionary of JSON values. ``kind`` and ``format`` are always there; the others are named
here, so that the same fact has the same name in every file:

- ``model``: digest of the snapshot (``models.loading.snapshot_digest``); ``model_key``: its key in the configuration
- ``tokenizer``: digest of the snapshot's tokenizer (``models.loading.tokenizer_digest``)
- ``language``, ``method``, ``task``, ``split``, ``finetuning``, ``intervention``, ``shard``: as in the file's path
- ``statistic``, ``site``, ``estimate``, ``tokens``, ``dtype``: what was counted, and how
- ``units``: the unit of each column that has one
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from langneurons.artifacts.format import FORMAT

AGAIN = "delete it and run snakemake again, which makes it anew"
_RESERVED = ("kind", "format")


class ArtifactError(ValueError):
    """A file that is missing, damaged, of another kind, or not the one that was asked for: one line that names it."""


def block(kind: str, facts: Mapping[str, Any]) -> str:
    """The facts of a file as canonical JSON, with its kind and the format's version.

    ValueError for a fact that has a reserved name or is not a JSON value (NaN and infinity are none).
    """
    taken = sorted(set(facts) & set(_RESERVED))
    if taken:
        raise ValueError(f"the facts of a {kind} hold {', '.join(taken)}, which are written by themselves; rename them")
    try:
        return json.dumps({"kind": kind, "format": FORMAT, **facts}, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"the facts of a {kind} are no JSON values ({error}); write numbers or strings") from None


def parse_block(path: str | os.PathLike, text: str | bytes, kind: str) -> dict[str, Any]:
    """The facts that ``block`` wrote, without kind and format. ArtifactError for another kind or format."""
    try:
        facts = json.loads(text)
    except ValueError:
        facts = None
    if not isinstance(facts, dict) or "kind" not in facts:
        raise ArtifactError(f"{path}: does not say what it is; a file of kind '{kind}' was expected; {AGAIN}")
    if facts["kind"] != kind:
        raise ArtifactError(f"{path}: is a file of kind '{facts['kind']}'; '{kind}' was expected; {AGAIN}")
    if facts.get("format") != FORMAT:
        raise ArtifactError(f"{path}: has format {facts.get('format')}; this version reads {FORMAT}; {AGAIN}")
    return {name: value for name, value in facts.items() if name not in _RESERVED}


def compare(path: str | os.PathLike, facts: Mapping[str, Any], expected: Mapping[str, Any] | None) -> None:
    """ArtifactError unless ``facts`` hold every expected value; it says what the file is and what was expected."""
    wrong = []
    for name, value in (expected or {}).items():
        value = json.loads(json.dumps(value))  # tuples as lists, as they were written
        if name not in facts:
            wrong.append(f"does not say its {_word(name)} ({_shown(value)} was expected)")
        elif facts[name] != value:
            wrong.append(f"{_word(name)} is {_shown(facts[name])}, {_shown(value)} was expected")
    if wrong:
        raise ArtifactError(f"{path}: {'; '.join(wrong)}. It is another job's file, or out of date: {AGAIN}")


def check_there(path: str | os.PathLike) -> None:
    """ArtifactError unless ``path`` is a file: it is missing, or a directory has its name."""
    if os.path.isdir(path):
        raise ArtifactError(f"{path}: is a directory where a file was expected; remove it and run snakemake again")
    if not os.path.isfile(path):
        raise ArtifactError(f"{path}: no such file; run snakemake, which makes it")


def _word(name: str) -> str:
    return name.replace("_", " ")


def _shown(value: Any) -> str:
    """A value as a message prints it; a digest by its first digits."""
    if isinstance(value, str) and len(value) == 64 and all(c in "0123456789abcdef" for c in value):
        return f"{value[:12]}…"
    return repr(value)
