"""Task data from a person's or the Hub's files: read by the task's entry, and written in the workflow's own layout."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from langneurons.registry import entry
from langneurons.tasks.files import read_task, write_task


def import_task(
    source: str | os.PathLike,
    out: str | os.PathLike,
    kind: str,
    facts: Mapping[str, str],
    settings: Mapping[str, Any],
    known: Mapping[str, tuple[str | os.PathLike, Mapping[str, str]]],
) -> int:
    """Write one split of a task as Parquet; return the number of rows.

    ``facts``: ``task`` (its key), ``language`` and ``split``; ``settings`` as the entry's ``settings`` gave them for
    ``import``; ``known``: name -> the workflow's own file of the task that this split is compared with, and the
    ``language`` and ``split`` that it must be of.

    ValueError: what the entry's ``read`` raises, and those of :func:`langneurons.tasks.files.read_task`.
    """
    task = {"task": facts["task"]}
    others = {name: read_task(path, kind, {**task, **expected}) for name, (path, expected) in known.items()}
    columns = entry("tasks", kind).read(str(source), facts["language"], facts["split"], settings, others)
    return write_task(out, kind, columns, {**facts, "settings": dict(settings)})
