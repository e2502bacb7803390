"""Task data in the workflow's own layout: a Parquet file per task, language and split that says which it is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from langneurons.artifacts.parquet import read_parquet, write_parquet
from langneurons.registry import entry

KIND = "task data"

_TYPES = {"strings": pa.list_(pa.string())}


def write_task(
    path: str | os.PathLike, kind: str, columns: dict[str, list], facts: Mapping[str, Any] | None = None
) -> int:
    """Write columns as the Parquet file of a task of this ``kind`` (its entry's ``COLUMNS``); return the rows' number.

    ``facts``: what the file says of itself beside its kind: ``task``, ``language``, ``split``, ``settings``.
    """
    table = pa.Table.from_pydict(columns, schema=schema_of(kind))
    write_parquet(path, table, KIND, {**(facts or {}), "task_kind": kind})
    return table.num_rows


def read_task(path: str | os.PathLike, kind: str, expected: Mapping[str, Any] | None = None) -> pa.Table:
    """Read task data of this ``kind``, whose facts must be the ``expected`` ones (``task``, ``language``, ``split``).

    ArtifactError, naming the file, if it is missing, damaged, of another task, or not the expected one; ValueError if
    it is empty or not of the kind's schema.
    """
    schema = schema_of(kind)
    table, _ = read_parquet(path, KIND, {"task_kind": kind, **(expected or {})})
    if not table.schema.equals(schema):
        raise ValueError(
            f"{path}: has the columns {_columns(table.schema)}; a task of kind '{kind}' needs {_columns(schema)}. "
            "Delete the file, so that it is made again"
        )
    if not table.num_rows:
        raise ValueError(f"{path}: has no row")
    if nulls := [n for n in table.column_names if table[n].null_count]:
        raise ValueError(f"{path}: has missing values in {', '.join(nulls)}")
    return table


def schema_of(kind: str) -> pa.Schema:
    """Columns of a kind's data, as its entry says. ValueError for an unknown kind."""
    columns = entry("tasks", kind).COLUMNS
    return pa.schema({name: _TYPES.get(alias) or pa.type_for_alias(alias) for name, alias in columns.items()})


def _columns(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} ({field.type})" for field in schema)
