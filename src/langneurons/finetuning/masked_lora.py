"""LoRA on attention in full, and on ``gate_proj`` for chosen neurons only.

``W' = W0 + (alpha / r) * (M o (B A))``: M keeps the rows of the mask's neurons. Those rows of B are the only ones that
exist as parameters, so the rest has no gradient, no optimiser state and no weight decay to move it. Source: the
paper, section 2.2; LoRA: Hu et al. 2021, arXiv:2106.09685.

Built on two extension points of PEFT 0.21: ``LoraConfig``'s custom modules, to put a layer of our own on the masked
modules, and ``LoraVariant``, which has the last word on a layer's lora_B and on what it adds to the output.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from peft.tuners.lora.layer import Linear, LoraLayer, LoraVariant
from torch import nn

from langneurons.models.neurons import find_neurons

if TYPE_CHECKING:
    from peft import PeftModel

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
TASK_TYPES = ("SEQ_CLS", "CAUSAL_LM")
ADAPTER = "default"


class RowLinear(nn.Linear):
    """The rows of a lora_B that exist: weight ``[n_rows, r]``, zero at first; ``rows``: their places in the output."""

    def __init__(self, r: int, rows: torch.Tensor, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(r, len(rows), bias=False, device=device, dtype=dtype)
        nn.init.zeros_(self.weight)
        # Positions belong to the mask, not to the adapter's state: they are laid out anew on saving.
        self.register_buffer("rows", rows.to(device), persistent=False)


class RowVariant(LoraVariant):
    """Adds ``scaling * (x A^T) B_rows^T`` at the rows' positions of the output."""

    @staticmethod
    def init(module: LoraLayer, adapter_name: str, **kwargs) -> None:
        dense = module.lora_B[adapter_name].weight  # [out, r], made by PEFT and given up here
        module.lora_B[adapter_name] = RowLinear(dense.shape[1], module.masked_rows, dense.device, dense.dtype)

    @staticmethod
    def forward(module: LoraLayer, active_adapter: str, x: torch.Tensor, result: torch.Tensor, **kwargs):
        a, b = module.lora_A[active_adapter], module.lora_B[active_adapter]
        # x [..., in], delta [..., n_rows], result [..., out]
        delta = b(a(module.lora_dropout[active_adapter](x))) * module.scaling[active_adapter]
        if module.rounds_delta and not torch.is_autocast_enabled():
            delta = delta.to(result.dtype)
        dtype = torch.promote_types(result.dtype, delta.dtype)
        return result.to(dtype).index_add(-1, b.rows, delta.to(dtype))

    @staticmethod
    def merge_safe(module: LoraLayer, active_adapter: str, orig_weight: torch.Tensor) -> torch.Tensor:
        return orig_weight + module.get_delta_weight(active_adapter).to(orig_weight.dtype)

    @staticmethod
    def merge_unsafe(module: LoraLayer, active_adapter: str, orig_weight: torch.Tensor) -> None:
        orig_weight.data += module.get_delta_weight(active_adapter).to(orig_weight.dtype)

    @staticmethod
    def unmerge(module: LoraLayer, active_adapter: str, orig_weight: torch.Tensor) -> torch.Tensor:
        return orig_weight.data - module.get_delta_weight(active_adapter).to(orig_weight.dtype)


class _MaskedRows:
    """What the masked layers share, over either of PEFT's linear layers."""

    # PEFT's dense layer rounds to the output's type after the update is added, its 4-bit layer before: so do these.
    rounds_delta = False

    def __init__(self, base_layer: nn.Module, adapter_name: str, masked_rows: torch.Tensor, **kwargs) -> None:
        # PEFT's constructor already builds lora_B, so the rows must be known before nn.Module's own set-up.
        self.__dict__["masked_rows"] = masked_rows
        super().__init__(base_layer, adapter_name, **kwargs)

    def resolve_lora_variant(self, *, config, **kwargs) -> LoraVariant:
        return RowVariant()

    def dense_b(self, adapter_name: str) -> torch.Tensor:
        """lora_B in full, ``[out_features, r]``: zero in the rows that do not exist."""
        b = self.lora_B[adapter_name]
        return b.weight.new_zeros(self.out_features, b.in_features).index_copy(0, b.rows, b.weight)

    def get_delta_weight(self, adapter: str) -> torch.Tensor:
        """``(alpha / r) * (M o (B A))``, shape ``[out_features, in_features]``."""
        return self.dense_b(adapter) @ self.lora_A[adapter].weight * self.scaling[adapter]


class MaskedLinear(_MaskedRows, Linear):
    """A masked LoRA layer over ``nn.Linear``."""


@functools.cache
def _masked_linear_4bit() -> type[nn.Module]:
    from peft.tuners.lora.bnb import Linear4bit  # imports bitsandbytes

    class MaskedLinear4bit(_MaskedRows, Linear4bit):
        """A masked LoRA layer over ``bitsandbytes.nn.Linear4bit``."""

        rounds_delta = True

    return MaskedLinear4bit


def masked_layers(model: nn.Module) -> dict[str, _MaskedRows]:
    """The masked LoRA layers inside ``model``, by module name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, _MaskedRows)}


def add_lora(
    model: nn.Module,
    rank: int,
    alpha: float,
    attention_targets: tuple[str, ...] = ATTENTION,
    rows: Mapping[int, np.ndarray] | None = None,
    task_type: str = "SEQ_CLS",
    seed: int = 42,
) -> PeftModel:
    """Freeze ``model`` and put LoRA on it: attention in full, ``gate_proj`` in the rows of ``rows``.

    ``rows`` maps a layer to its neurons, ascending int64 indices below ``d_ff``; layers without neurons get nothing,
    and with no neurons at all the result is attention LoRA. A classification head (``score``) trains in full, from the
    values it has. A is drawn as PEFT does (Kaiming uniform), from ``seed`` and the module's name, so the attention part
    does not depend on the mask; B is zero. Parameters that train are float32 whatever the base. The base may be dense
    or 4-bit (bitsandbytes).

    Raises ValueError for an unknown task type, attention targets that the model lacks, rows for a model without a gate
    projection of its own (fused or ungated), a layer or neuron outside the model, indices that are not ascending, and a
    layer that is neither dense nor 4-bit.
    """
    from peft import LoraConfig, get_peft_model

    if task_type not in TASK_TYPES:
        raise ValueError(f"task_type {task_type!r} is unknown; write one of {', '.join(TASK_TYPES)}")
    present = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    if absent := [target for target in attention_targets if target not in present]:
        raise ValueError(
            f"{type(model).__name__} has no modules {', '.join(absent)}, so its attention would be adapted in part or "
            "not at all; use a model with separate q_proj, k_proj, v_proj and o_proj, or pass attention_targets"
        )
    alpha = int(alpha) if float(alpha).is_integer() else float(alpha)
    masked = _rows_by_module(model, rows or {})
    config = LoraConfig(
        r=rank, lora_alpha=alpha, target_modules=[*attention_targets, *masked], task_type=task_type, bias="none"
    )
    # PEFT asks this for every target; None sends a target on to PEFT's own layers.
    config._register_custom_module({nn.Linear: functools.partial(_masked_layer, masked)})
    peft_model = get_peft_model(model, config)
    _draw(peft_model, seed)
    _train_heads_in_float32(peft_model)
    return peft_model


def _rows_by_module(model: nn.Module, rows: Mapping[int, np.ndarray]) -> dict[str, torch.Tensor]:
    """Full name of a layer's gate module -> its neurons, for the layers that have some."""
    rows = {layer: np.asarray(indices) for layer, indices in rows.items()}
    rows = {layer: indices for layer, indices in rows.items() if indices.size}
    if not rows:
        return {}
    sites = find_neurons(model)
    if sites.structure != "gated":
        raise ValueError(
            f"rows: masked LoRA trains rows of a gate projection, and this model's feed-forward layers are "
            f"{sites.structure} ({type(sites.layers[0].mlp).__name__}); fine-tune attention only, or use a model with "
            "a gate_proj of its own"
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
        result[names[id(sites.layers[layer].gate)]] = torch.from_numpy(indices.astype(np.int64))
    return result


def _masked_layer(masked: dict[str, torch.Tensor], target: nn.Module, adapter_name: str, *, target_name: str, **kwargs):
    if target_name not in masked:
        return None
    if type(target) is nn.Linear:
        layer_class = MaskedLinear
    elif type(target).__name__ == "Linear4bit":
        layer_class = _masked_linear_4bit()
    else:
        raise ValueError(
            f"{target_name} is a {type(target).__name__}; masked LoRA works on nn.Linear and bitsandbytes' Linear4bit: "
            "load the model with quantization none or nf4"
        )
    return layer_class(target, adapter_name, masked_rows=masked[target_name], target_name=target_name, **kwargs)


def _draw(peft_model: PeftModel, seed: int) -> None:
    """Draw every lora_A from the seed and its module's name: independent of the device, the mask and the order."""
    for name, module in peft_model.named_modules():
        if isinstance(module, LoraLayer):
            weight = module.lora_A[ADAPTER].weight
            digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
            generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
            drawn = nn.init.kaiming_uniform_(torch.empty(weight.shape), a=math.sqrt(5), generator=generator)
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
