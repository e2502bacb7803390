"""The statistics of a language's neurons as a file: what ``statistics.summarize`` gives, with what it is of."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from langneurons.artifacts.parquet import open_parquet, write_parquet
from langneurons.finite import check_finite

if TYPE_CHECKING:
    import pyarrow as pa

KIND = "statistics"
PLACE = ("layer", "neuron")


def write_statistics(path: str | os.PathLike, table: pa.Table, facts: Mapping[str, Any]) -> None:
    """Write the table of ``statistics.summarize``, a row per neuron.

    ``facts``: ``model`` (digest), ``model_key``, ``language``, ``site`` (gate: z; act: a), ``estimate``,
    ``percentiles``, ``tokens`` and ``dtype`` (the data type that was counted); the columns' units are added.
    ValueError, naming the file, the column and the first neuron, for a value that is not finite.
    """
    value = {"gate": "z (pre-activation)", "act": "a (activation)"}.get(facts.get("site"), "the neuron's value")
    units = {"layer": "from 0", "neuron": "from 0", "tokens": "tokens", "positive": "share of tokens, 0 to 1"}
    for name in table.column_names:
        units.setdefault(name, value)
        _check(path, name, table)
    write_parquet(path, table, KIND, {**facts, "units": units})


def read_statistics(
    path: str | os.PathLike, columns: Iterable[str], expected: Mapping[str, Any] | None = None
) -> pa.Table:
    """Columns of a language's statistics, all values finite.

    ArtifactError, naming the file, if it is missing or damaged, or if its facts are not the ``expected`` ones;
    ValueError, naming it too, for a column that it lacks (with those it has), no neuron, or a value that is not finite.
    """
    with open_parquet(path, KIND, expected) as (file, _):
        known = file.schema_arrow.names
        if lacking := [name for name in columns if name not in known]:
            have = ", ".join(name for name in known if name not in (*PLACE, "tokens"))
            raise ValueError(
                f"{path} has no column {lacking[0]}, only {have or 'none'}; add {lacking[0].lstrip('p')} to "
                "statistics.percentiles in the configuration, or write another one"
            )
        table = file.read(columns=[*PLACE, *(name for name in columns if name not in PLACE)])
    if not table.num_rows:
        raise ValueError(f"{path}: holds no neuron; summarize the activations again")
    for name in columns:
        _check(path, name, table)
    return table


def _check(path: str | os.PathLike, name: str, table: pa.Table) -> None:
    values = table[name].to_numpy()  # a missing value becomes NaN
    if np.isfinite(values).all():
        return
    layer, neuron = (table[key].to_numpy() for key in PLACE)
    places = [f"layer {a}, neuron {b}" for a, b in zip(layer, neuron, strict=True)]
    check_finite(values, f"{path}: {name}", ("",), places, "collect and summarize the activations again")
