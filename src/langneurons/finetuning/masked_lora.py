"""LoRA on attention in full, and on the feed-forward layers for chosen neurons only.

Of ``gate_proj`` and ``up_proj`` the neurons' rows train, of ``down_proj`` their columns; nothing else of them exists as
a parameter (``langneurons.finetuning.masked_layers``).
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from peft.tuners.lora.layer import LoraLayer
from torch import nn

from langneurons.finetuning.masked_layers import MaskedLayer, masked_layer
from langneurons.models.attention import attention_modules
from langneurons.models.neurons import find_neurons

if TYPE_CHECKING:
    from peft import PeftModel

# Of a layer's feed-forward modules: the module's name in LayerSites, and the side of its weight that neurons are.
TARGETS = {"gate_proj": ("gate", "rows"), "up_proj": ("up", "rows"), "down_proj": ("down", "columns")}
TASK_TYPES = ("SEQ_CLS", "CAUSAL_LM")
ADAPTER = "default"


def masked_layers(model: nn.Module) -> dict[str, MaskedLayer]:
    """The masked LoRA layers inside ``model``, by module name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, MaskedLayer)}


def add_lora(
    model: nn.Module,
    rank: int,
    alpha: float,
    attention_targets: Sequence[str] | None = None,
    rows: Mapping[int, np.ndarray] | None = None,
    task_type: str = "SEQ_CLS",
    seed: int = 42,
    targets: Iterable[str] = ("gate_proj",),
) -> PeftModel:
    """Freeze ``model`` and put LoRA on it: attention in full, ``targets`` for the neurons of ``rows`` alone.

    ``attention_targets`` are names of linear modules of a layer's attention, None for the architecture's own.
    ``rows`` maps a layer to its neurons, ascending int64 indices below ``d_ff``: rows of ``gate_proj`` and ``up_proj``,
    columns of ``down_proj``. Layers without neurons get nothing, and with no neurons at all the result is attention
    LoRA. A classification head (``score``) trains in full, from the
    values it has. A is drawn as PEFT does (Kaiming uniform), from ``seed`` and the module's name, so the attention part
    does not depend on the mask; B is zero. Parameters that train are float32 whatever the base. The base may be dense
    or 4-bit (bitsandbytes).

    Raises ValueError for an unknown task type, target or architecture, attention targets that the model lacks, gate or
    up projections of a model where they are no modules of their own (fused or ungated), a layer or neuron outside the
    model, indices that are not ascending, and a layer that is neither dense nor 4-bit.
    """
    from peft import LoraConfig, get_peft_model

    if task_type not in TASK_TYPES:
        raise ValueError(f"task_type {task_type!r} is unknown; write one of {', '.join(TASK_TYPES)}")
    attention = attention_modules(model, attention_targets)
    alpha = int(alpha) if float(alpha).is_integer() else float(alpha)
    masked = _neurons_by_module(model, rows or {}, tuple(targets))
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,  # type: ignore[arg-type]  # PEFT takes any number
        target_modules=[*attention, *masked],
        task_type=task_type,
        bias="none",
    )
    # PEFT asks this for every target; None sends a target on to PEFT's own layers.
    config._register_custom_module({nn.Linear: functools.partial(masked_layer, masked)})  # type: ignore[dict-item]  # called as a class is
    peft_model = get_peft_model(model, config)
    _draw(peft_model, seed)
    _train_heads_in_float32(peft_model)
    return peft_model


def _neurons_by_module(
    model: nn.Module, rows: Mapping[int, np.ndarray], targets: tuple[str, ...]
) -> dict[str, tuple[str, torch.Tensor]]:
    """Full name of a target module -> side and neurons, for the layers that have some."""
    if unknown := [target for target in targets if target not in TARGETS]:
        raise ValueError(f"target {unknown[0]!r} is unknown; write some of {', '.join(TARGETS)}")
    rows = {layer: np.asarray(indices) for layer, indices in rows.items()}
    rows = {layer: indices for layer, indices in rows.items() if indices.size}
    if not rows:
        return {}
    sites = find_neurons(model)
    if sites.structure != "gated" and (odd := [target for target in targets if target != "down_proj"]):
        raise ValueError(
            f"rows: masked LoRA trains rows of {' and '.join(odd)}, and this model's feed-forward layers are "
            f"{sites.structure} ({type(sites.layers[0].mlp).__name__}); fine-tune attention only, or the columns of "
            "down_proj, or use a model with a gate_proj of its own"
        )
    names = {id(module): name for name, module in model.named_modules()}
    result = {}
    for layer, indices in sorted(rows.items()):
        if not 0 <= layer < len(sites.layers):
            raise ValueError(f"rows: layer {layer} is outside the model; its layers are 0 to {len(sites.layers) - 1}")
        if indices.ndim != 1 or not np.issubdtype(indices.dtype, np.integer) or (np.diff(indices) <= 0).any():
            raise ValueError(f"rows: layer {layer} needs a list of ascending neuron indices without repeats")
        if indices[0] < 0 or indices[-1] >= sites.neurons_per_layer:
            outside = indices[0] if indices[0] < 0 else indices[-1]
            raise ValueError(
                f"rows: neuron {outside} of layer {layer} is outside the model; a layer's neurons are 0 to "
                f"{sites.neurons_per_layer - 1}: the mask was made for another model"
            )
        for target in targets:
            module, side = TARGETS[target]
            name = names[id(getattr(sites.layers[layer], module))]
            result[name] = side, torch.from_numpy(indices.astype(np.int64))
    return result


def _draw(peft_model: PeftModel, seed: int) -> None:
    """Draw every lora_A from the seed and its module's name: independent of the device, the mask and the order."""
    for name, module in peft_model.named_modules():
        if isinstance(module, LoraLayer):
            weight: Any = module.lora_A[ADAPTER].weight
            width: Any = module.in_features
            digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
            generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
            whole = torch.empty(len(weight), width)  # [r, in], also where a mask keeps some columns
            drawn = nn.init.kaiming_uniform_(whole, a=math.sqrt(5), generator=generator)
            if isinstance(module, MaskedLayer) and module.side == "columns":
                drawn = drawn[:, module.neurons]
            with torch.no_grad():
                weight.copy_(drawn)


def _train_heads_in_float32(peft_model: PeftModel) -> None:
    """PEFT keeps LoRA's own weights in float32 over a bfloat16 base, but copies a head in the base's type, in which
    most steps of a small learning rate round to nothing."""
    from peft.utils import ModulesToSaveWrapper

    for module in peft_model.modules():
        if isinstance(module, ModulesToSaveWrapper):
            head = module.modules_to_save[ADAPTER]
            if not all(p.is_floating_point() for p in head.parameters()):
                raise ValueError("the classification head is quantised and cannot train; load it unquantised")
            head.float()
            head.register_forward_pre_hook(_cast_to_weight)


def _cast_to_weight(head: nn.Module, inputs: tuple) -> tuple:
    return (inputs[0].to(head.weight.dtype), *inputs[1:])
