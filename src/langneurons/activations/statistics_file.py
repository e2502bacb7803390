"""One statistic of every neuron in one language as a file: what ``statistics.summarize`` gives, with what it is of."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from langneurons.artifacts.parquet import open_parquet, write_parquet
from langneurons.finite import check_finite

if TYPE_CHECKING:
    import pyarrow as pa

KIND = "statistics"
PLACE = ("layer", "neuron")


def write_statistic(path: str | os.PathLike, table: pa.Table, facts: Mapping[str, Any]) -> None:
    """Write the table of ``statistics.summarize``, a row per neuron.

    ``facts``: ``model`` (digest), ``model_key``, ``language``, ``statistic`` (its name, which is its column's),
    ``tokens`` and ``dtype`` (the data type that was counted), and those of ``site`` (gate: z; act: a) and ``estimate``
    that it depends on; the columns' units are added. ValueError, naming the file, the column and the first neuron, for
    a value that is not finite.
    """
    name = facts["statistic"]
    unit = {"gate": "z (pre-activation)", "act": "a (activation)"}.get(facts.get("site", ""), "the neuron's value")
    units = {"layer": "from 0", "neuron": "from 0", name: "share of tokens, 0 to 1" if name == "positive" else unit}
    _check(path, name, table)
    write_parquet(path, table, KIND, {**facts, "units": units})


def read_statistic(path: str | os.PathLike, name: str, expected: Mapping[str, Any] | None = None) -> pa.Table:
    """A statistic of every neuron: columns layer, neuron and ``name``, all values finite.

    ArtifactError, naming the file, if it is missing or damaged, or if it is of another statistic or its facts are not
    the ``expected`` ones; ValueError, naming it too, for no neuron, and for a value that is not finite.
    """
    with open_parquet(path, KIND, {**(expected or {}), "statistic": name}) as (file, _):
        if name not in file.schema_arrow.names:
            raise ValueError(f"{path}: has no column {name}; summarize the activations again")
        table = file.read(columns=[*PLACE, name])
    if not table.num_rows:
        raise ValueError(f"{path}: holds no neuron; summarize the activations again")
    _check(path, name, table)
    return table


def _check(path: str | os.PathLike, name: str, table: pa.Table) -> None:
    values = table[name].to_numpy()  # a missing value becomes NaN
    if np.isfinite(values).all():
        return
    layer, neuron = (table[key].to_numpy() for key in PLACE)
    places = [f"layer {a}, neuron {b}" for a, b in zip(layer, neuron, strict=True)]
    check_finite(values, f"{path}: {name}", ("",), places, "collect and summarize the activations again")
