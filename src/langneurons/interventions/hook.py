"""Change neurons while a model runs.

Every hook makes one indexed write per layer, at the neurons alone; its index and its values are put on the layer's
device once. The activation is written in place when nothing else can see it, and in a copy when gradients flow through
it or the module returned its own input.

Neurons are overwritten with constants, in the activation's data type, or with what an operation makes of their own
values. Such an operation is computed in float32 (in float64 where the activation has it), and its result is rounded to
the activation's data type once: in bfloat16, ``x1.1`` multiplies by 1.1, not by the bfloat16 next to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch

from langneurons.models.neurons import find_neurons

SITES = ("act", "gate")

Apply = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Own values ``[..., n]`` and the neurons' numbers ``[n]`` -> new values ``[..., n]``."""


@dataclass
class InterventionRecord:
    """What an intervention saw: ``calls[layer]`` counts the forward passes that changed the layer's neurons."""

    calls: dict[int, int] = field(default_factory=dict)


@contextmanager
def intervene(
    model: torch.nn.Module,
    neurons: Mapping[int, np.ndarray],
    values: Mapping[int, np.ndarray],
    site: str = "act",
    apply: Apply | None = None,
) -> Iterator[InterventionRecord]:
    """Change neurons at every token of every forward pass inside the ``with``.

    ``neurons``: layer -> indices, shape ``[n]``; ``values``: layer -> a number per neuron, shape ``[n]``, in the same
    order. ``apply``: None to overwrite the neurons with these numbers; else what they become, of their own values and
    the numbers (``interventions.base.Operation``). ``site``: ``"act"`` changes a = act(z), ``"gate"`` changes z. Works
    under any depth of wrappers, with ``generate()``, with and without gradients (none flows into an overwritten value;
    an operation passes on its own). Wrap the model in its adapters before. Yields an ``InterventionRecord``. No
    neurons: no hook and no error.

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
                hook = _changer(layer, wanted[layer], values[layer], record, apply)
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


def _changer(
    layer: int, indices: np.ndarray, values: np.ndarray, record: InterventionRecord, apply: Apply | None
) -> Callable:
    """The forward hook of one layer. The output it changes has shape ``[..., d_ff]``, or ``[..., 2 * d_ff]`` where gate
    and up are one module: neuron j is column j either way."""
    index = torch.from_numpy(np.array(indices, dtype=np.int64))
    source = torch.from_numpy(np.array(values, dtype=np.float64))
    placed: dict[tuple[torch.device, torch.dtype], tuple[torch.Tensor, torch.Tensor]] = {}

    def change(_module: torch.nn.Module, inputs: tuple, output: torch.Tensor) -> torch.Tensor:
        key = (output.device, output.dtype)
        if key not in placed:
            wide = output.dtype if apply is None else _computed_in(output.dtype)
            # Ordinary tensors even under inference mode: a later pass with gradients must be able to save them.
            with torch.inference_mode(False):
                placed[key] = (index.to(output.device), source.to(output.device, wide))
        columns, numbers = (x.expand(*output.shape[:-1], -1) for x in placed[key])
        if apply is not None:  # gathered before the clone: the backward pass needs what was gathered from unchanged
            numbers = apply(output.gather(-1, columns).to(numbers.dtype), placed[key][1]).to(output.dtype)
        if output.requires_grad or (inputs and _same_memory(inputs[0], output)):
            output = output.clone()
        output.scatter_(-1, columns, numbers)  # the quickest indexed write on a CPU: benchmarks/evaluation.py
        record.calls[layer] += 1
        return output

    return change


def _computed_in(dtype: torch.dtype) -> torch.dtype:
    """The data type that an operation is computed in, for an activation of ``dtype``."""
    return torch.promote_types(dtype, torch.float32)


def _same_memory(first: object, second: torch.Tensor) -> bool:
    return isinstance(first, torch.Tensor) and first.untyped_storage().data_ptr() == second.untyped_storage().data_ptr()
