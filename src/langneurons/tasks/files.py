"""Task data in the workflow's own layout: a Parquet file per task, language and split that says which it is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from langneurons.artifacts.parquet import read_facts, read_parquet, write_parquet

KIND = "task data"

SCHEMAS: dict[str, pa.Schema] = {
    "xnli": pa.schema({"id": pa.string(), "premise": pa.string(), "hypothesis": pa.string(), "label": pa.int8()}),
    "xquad": pa.schema(
        {c: pa.string() for c in ("id", "paragraph", "context", "question")} | {"answers": pa.list_(pa.string())}
    ),
}


def write_task(
    path: str | os.PathLike, task: str, columns: dict[str, list], facts: Mapping[str, Any] | None = None
) -> int:
    """Write columns as the Parquet file of ``task`` (``SCHEMAS``); return the number of rows.

    ``facts``: what the file says of itself beside its task: ``language``, ``split`` and, of XQuAD, ``part``.
    """
    table = pa.Table.from_pydict(columns, schema=_schema(task))
    write_parquet(path, table, KIND, {**(facts or {}), "task": task})
    return table.num_rows


def read_task(path: str | os.PathLike, task: str, expected: Mapping[str, Any] | None = None) -> pa.Table:
    """Read task data of ``task``, whose facts must be the ``expected`` ones (``language``, ``split``).

    ArtifactError, naming the file, if it is missing, damaged, of another task, or not the expected one; ValueError if
    it is empty or not of the task's schema.
    """
    schema = _schema(task)
    table, _ = read_parquet(path, KIND, {"task": task, **(expected or {})})
    if not table.schema.equals(schema):
        raise ValueError(
            f"{path}: has the columns {_columns(table.schema)}; task '{task}' needs {_columns(schema)}. "
            "Write it again with import_xnli or import_xquad"
        )
    if not table.num_rows:
        raise ValueError(f"{path}: has no row")
    if nulls := [n for n in table.column_names if table[n].null_count]:
        raise ValueError(f"{path}: has missing values in {', '.join(nulls)}")
    return table


def task_language(path: str | os.PathLike) -> str | None:
    """The language that task data say they are of; ArtifactError, naming the file, if it is missing or damaged."""
    return read_facts(path, KIND).get("language")


def _columns(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} ({field.type})" for field in schema)


def _schema(task: str) -> pa.Schema:
    if task not in SCHEMAS:
        raise ValueError(f"unknown task '{task}'; write one of: {', '.join(SCHEMAS)}")
    return SCHEMAS[task]
