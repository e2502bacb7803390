"""Set neurons to constants while a model runs.

Every hook makes one indexed write a layer, at the neurons alone; its index and its values are put on the layer's
device, in the activation's data type, once. The activation is written in place when nothing else can see it, and in a
copy when gradients flow through it or the module returned its own input.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from langneurons.activations.statistics_file import read_statistics
from langneurons.models.neurons import find_neurons

SITES = ("act", "gate")
_PERCENTILE = re.compile(r"p\d+(\.\d+)?")


@dataclass
class InterventionRecord:
    """What an intervention saw: ``calls[layer]`` counts the forward passes in which the layer's neurons were set."""

    calls: dict[int, int] = field(default_factory=dict)


@contextmanager
def intervene(
    model: torch.nn.Module,
    neurons: Mapping[int, np.ndarray],
    values: Mapping[int, np.ndarray],
    site: str = "act",
) -> Iterator[InterventionRecord]:
    """Overwrite neurons with constants at every token of every forward pass inside the ``with``.

    ``neurons``: layer -> indices, shape ``[n]``; ``values``: layer -> constants, shape ``[n]``, in the same order.
    ``site``: ``"act"`` overwrites a = act(z), ``"gate"`` overwrites z. Works under any depth of wrappers, with
    ``generate()``, with and without gradients (none flows into an overwritten value). Wrap the model in its adapters
    before. Yields an ``InterventionRecord``. No neurons: no hook and no error.

    Raises ValueError for a layer or neuron outside the model, a neuron given twice, and values that do not fit; on
    leaving without an exception under way, RuntimeError if a layer with neurons never ran its hook.
    """
    if site not in SITES:
        raise ValueError(f"site is {site!r}; write one of {', '.join(SITES)}")
    wanted = {layer: indices for layer, indices in neurons.items() if len(indices)}
    record, handles = InterventionRecord(dict.fromkeys(sorted(wanted), 0)), []
    try:
        if wanted:
            sites = find_neurons(model)
            _check(wanted, values, len(sites.layers), sites.neurons_per_layer)
            for layer in record.calls:
                hook = _overwriter(layer, wanted[layer], values[layer], record)
                handles.append(getattr(sites.layers[layer], site).register_forward_hook(hook))
        yield record
    finally:
        for handle in handles:
            handle.remove()
    silent = [layer for layer, calls in record.calls.items() if not calls]
    if silent:
        raise RuntimeError(
            f"the intervention on {site} never ran in layers {silent}: the model was not called inside the with, its "
            "modules were replaced after it began, or fused kernels bypass them; load the model without fused kernels"
        )


def intervention_values(
    statistics_path: str | os.PathLike,
    neurons: Mapping[int, np.ndarray],
    name: str,
    expected: Mapping[str, Any] | None = None,
) -> dict[int, np.ndarray]:
    """The constants of an intervention: each neuron's own statistic in one language.

    ``statistics_path``: the language's statistics Parquet. ``neurons``: layer -> indices, shape ``[n]``. ``name``:
    ``mean``, ``zero``, or a percentile as ``p90`` or ``p2.5``. Returns layer -> float64 values, shape ``[n]``, in the
    neurons' order. ``expected``: facts that the statistics must have (``activations.statistics_file``).

    Raises ValueError for another name, a percentile the table lacks, a neuron it lacks, a value that is not finite, and
    a file that is damaged or not the expected one.
    """
    wanted = {layer: np.asarray(indices, dtype=np.int64) for layer, indices in neurons.items()}
    if name == "zero":
        return {layer: np.zeros(len(indices)) for layer, indices in wanted.items()}
    if name != "mean" and not _PERCENTILE.fullmatch(name):
        raise ValueError(f"{name!r} is no intervention; write mean, zero, or a percentile as p90")
    table = read_statistics(statistics_path, (name,), expected)
    layers, found, column = (np.asarray(table[key]) for key in ("layer", "neuron", name))
    width = int(found.max(initial=-1)) + 1
    if not np.array_equal(layers.astype(np.int64) * width + found, np.arange(len(found))):
        raise ValueError(
            f"{statistics_path}: rows are not one a neuron, sorted by (layer, neuron); make the file again"
        )
    result = {}
    for layer, indices in wanted.items():
        outside = (indices < 0) | (indices >= width) | (layer < 0) | (layer * width >= len(found))
        if outside.any():
            raise ValueError(
                f"{statistics_path} has no neuron ({layer}, {indices[outside][0]}): it holds "
                f"{len(found) // max(width, 1)} layers of {width}; use the statistics of the mask's own model"
            )
        result[layer] = column[layer * width + indices].astype(np.float64)
    return result


def _check(neurons: Mapping[int, np.ndarray], values: Mapping[int, np.ndarray], layers: int, width: int) -> None:
    for layer, indices in neurons.items():
        if not 0 <= layer < layers:
            raise ValueError(f"layer {layer} is outside the model, which has layers 0 to {layers - 1}")
        indices = np.asarray(indices)
        if indices.ndim != 1 or not np.issubdtype(indices.dtype, np.integer):
            raise ValueError(f"layer {layer}: neurons must be a list of integers, not {indices.dtype}{indices.shape}")
        outside = indices[(indices < 0) | (indices >= width)]
        if len(outside):
            raise ValueError(f"neuron {outside[0]} of layer {layer} is outside the model, which has 0 to {width - 1}")
        if len(np.unique(indices)) != len(indices):
            raise ValueError(f"layer {layer}: a neuron is given twice; give each once")
        found = np.asarray(values.get(layer, ()), dtype=np.float64)
        if found.shape != indices.shape:
            raise ValueError(f"layer {layer}: {indices.size} neurons but values of shape {found.shape}; give one each")
        if not np.isfinite(found).all():
            raise ValueError(f"layer {layer}: a value is not a finite number")
    extra = sorted(layer for layer, found in values.items() if layer not in neurons and len(found))
    if extra:
        raise ValueError(f"values are given for layers {extra}, which have no neurons; leave them out")


def _overwriter(layer: int, indices: np.ndarray, values: np.ndarray, record: InterventionRecord):
    """The forward hook of one layer. The output it changes has shape ``[..., d_ff]``, or ``[..., 2 * d_ff]`` where gate
    and up are one module: neuron j is column j either way."""
    index = torch.from_numpy(np.array(indices, dtype=np.int64))
    source = torch.from_numpy(np.array(values, dtype=np.float64))
    placed: dict[tuple[torch.device, torch.dtype], tuple[torch.Tensor, torch.Tensor]] = {}

    def overwrite(_module, inputs, output):
        key = (output.device, output.dtype)
        if key not in placed:
            # Ordinary tensors even under inference mode: a later pass with gradients must be able to save them.
            with torch.inference_mode(False):
                placed[key] = (index.to(output.device), source.to(output.device, output.dtype))
        if output.requires_grad or (inputs and _same_memory(inputs[0], output)):
            output = output.clone()
        columns, constants = (x.expand(*output.shape[:-1], -1) for x in placed[key])
        output.scatter_(-1, columns, constants)  # the quickest indexed write on a CPU: benchmarks/evaluation.py
        record.calls[layer] += 1
        return output

    return overwrite


def _same_memory(first: object, second: torch.Tensor) -> bool:
    return isinstance(first, torch.Tensor) and first.untyped_storage().data_ptr() == second.untyped_storage().data_ptr()
