"""The numbers of an intervention: what its operation makes of each neuron's own statistics in one language."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from langneurons.activations.statistics_file import read_statistic
from langneurons.interventions.base import find, operation


def intervention_values(
    name: str,
    statistics: Mapping[str, str | os.PathLike],
    neurons: Mapping[int, np.ndarray],
    expected: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[int, np.ndarray]:
    """The numbers of an intervention, per neuron: layer -> float64 ``[n]``, in the neurons' order.

    ``name``: as in a table's interventions, ``p90`` or ``x2``. ``statistics``: name of each statistic that it reads ->
    its Parquet file, of one language. ``neurons``: layer -> indices, shape ``[n]``. ``expected``: name of a statistic
    -> facts that its file must have.

    Raises ValueError for a name that is no intervention, a neuron that a file lacks, a value that is not finite, and a
    file that is missing, damaged or not the expected one.
    """
    try:
        key, parsed = find(name)
    except ValueError as error:
        raise ValueError(f"intervention {name!r} {error}") from None
    read = operation(key).statistics(parsed)
    if missing := [statistic for statistic in read if statistic not in statistics]:
        raise ValueError(f"intervention {name!r} reads {missing[0]}, of which no file is given")
    wanted = {layer: np.asarray(indices, dtype=np.int64) for layer, indices in neurons.items()}
    own = {
        statistic: _of_neurons(statistics[statistic], statistic, wanted, (expected or {}).get(statistic))
        for statistic in read
    }
    return {
        layer: operation(key).values(parsed, {statistic: own[statistic][layer] for statistic in read}, len(indices))
        for layer, indices in wanted.items()
    }


def _of_neurons(
    path: str | os.PathLike, statistic: str, neurons: Mapping[int, np.ndarray], expected: Mapping[str, Any] | None
) -> dict[int, np.ndarray]:
    """Layer -> each neuron's statistic, float64 ``[n]``."""
    table = read_statistic(path, statistic, expected)
    layers, found, column = (np.asarray(table[key]) for key in ("layer", "neuron", statistic))
    width = int(found.max(initial=-1)) + 1
    if not np.array_equal(layers.astype(np.int64) * width + found, np.arange(len(found))):
        raise ValueError(f"{path}: rows are not one per neuron, sorted by (layer, neuron); make the file again")
    result = {}
    for layer, indices in neurons.items():
        outside = (indices < 0) | (indices >= width) | (layer < 0) | (layer * width >= len(found))
        if outside.any():
            raise ValueError(
                f"{path} has no neuron ({layer}, {indices[outside][0]}): it holds "
                f"{len(found) // max(width, 1)} layers of {width}; use the statistics of the mask's own model"
            )
        result[layer] = column[layer * width + indices].astype(np.float64)
    return result
