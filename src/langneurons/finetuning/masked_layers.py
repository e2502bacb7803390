"""LoRA layers of which only the neurons' part exists.

``W' = W0 + (alpha / r) * (M o (B A))``. Where neurons are a module's outputs (``gate_proj``, ``up_proj``) M keeps their
rows, so only those rows of B are parameters; where they are its inputs (``down_proj``) M keeps their columns, so only
those columns of A are. The rest has no gradient, no optimiser state and no weight decay to move it. Source: the paper,
section 2.2; LoRA: Hu et al. 2021, arXiv:2106.09685.

Built on two extension points of PEFT 0.21: ``LoraConfig``'s custom modules, to put a layer of our own on the masked
modules, and ``LoraVariant``, which has the last word on a layer's weights and on what it adds to the output.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import torch
from peft.tuners.lora.layer import Linear, LoraVariant
from torch import nn

if TYPE_CHECKING:
    from peft import LoraConfig

    _Layer = Linear
else:
    _Layer = object  # put before either of PEFT's linear layers

SIDES = ("rows", "columns")


class RowLinear(nn.Linear):
    """The rows of a lora_B that exist: weight ``[n, r]``, zero at first; ``neurons``: their places in the output."""

    neurons: torch.Tensor

    def __init__(self, r: int, neurons: torch.Tensor, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(r, len(neurons), bias=False, device=device, dtype=dtype)
        nn.init.zeros_(self.weight)
        # Positions belong to the mask, not to the adapter's state: they are laid out anew on saving.
        self.register_buffer("neurons", neurons.to(device), persistent=False)


class ColumnLinear(nn.Linear):
    """The columns of a lora_A that exist: weight ``[r, n]``; ``neurons``: their places in the input."""

    neurons: torch.Tensor

    def __init__(self, neurons: torch.Tensor, r: int, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(len(neurons), r, bias=False, device=device, dtype=dtype)
        self.register_buffer("neurons", neurons.to(device), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``x [..., in]`` to ``[..., r]``."""
        return super().forward(x.index_select(-1, self.neurons))


class _Variant(LoraVariant):
    """``module`` is a ``MaskedLayer``, where PEFT has its own layers."""

    @staticmethod
    def merge_safe(module: Any, active_adapter: str, orig_weight: torch.Tensor) -> torch.Tensor:
        return orig_weight + module.get_delta_weight(active_adapter).to(orig_weight.dtype)

    @staticmethod
    def merge_unsafe(module: Any, active_adapter: str, orig_weight: torch.Tensor) -> None:
        orig_weight.data += module.get_delta_weight(active_adapter).to(orig_weight.dtype)

    @staticmethod
    def unmerge(module: Any, active_adapter: str, orig_weight: torch.Tensor) -> torch.Tensor:
        return orig_weight.data - module.get_delta_weight(active_adapter).to(orig_weight.dtype)


class RowVariant(_Variant):
    """Adds ``scaling * (x A^T) B_rows^T`` at the rows' positions of the output."""

    @staticmethod
    def init(module: Any, adapter_name: str, **kwargs: Any) -> None:
        dense = module.lora_B[adapter_name].weight  # [out, r], made by PEFT and given up here
        module.lora_B[adapter_name] = RowLinear(dense.shape[1], module.neurons, dense.device, dense.dtype)

    @staticmethod
    def forward(module: Any, active_adapter: str, x: torch.Tensor, result: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        b = module.lora_B[active_adapter]
        delta = _delta(module, active_adapter, x, result)  # [..., n]
        dtype = torch.promote_types(result.dtype, delta.dtype)
        # In place: the base's output is this layer's own, and its backward pass does not need it.
        return result.to(dtype).index_add_(-1, b.neurons, delta.to(dtype))  # [..., out]


class ColumnVariant(_Variant):
    """Adds ``scaling * (x_columns A_columns^T) B^T`` to the output."""

    @staticmethod
    def init(module: Any, adapter_name: str, **kwargs: Any) -> None:
        dense = module.lora_A[adapter_name].weight  # [r, in]
        module.lora_A[adapter_name] = ColumnLinear(module.neurons, len(dense), dense.device, dense.dtype)

    @staticmethod
    def forward(module: Any, active_adapter: str, x: torch.Tensor, result: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        return result + _delta(module, active_adapter, x, result)


def _delta(module: MaskedLayer, adapter: str, x: torch.Tensor, result: torch.Tensor) -> torch.Tensor:
    """``scaling * x A^T B^T``: by way of A, or, where there are fewer neurons than ranks, of their small product."""
    a: Any
    b: Any
    a, b, scaling = module.lora_A[adapter], module.lora_B[adapter], module.scaling[adapter]
    x = module.lora_dropout[adapter](x)
    if len(module.neurons) < a.out_features:
        x = x if module.side == "rows" else x.index_select(-1, a.neurons)
        delta = nn.functional.linear(x, b.weight @ a.weight * scaling)
    else:
        delta = b(a(x)) * scaling
    return delta.to(result.dtype) if module.rounds_delta and not torch.is_autocast_enabled() else delta


class MaskedLayer(_Layer):
    """What the masked layers share, over either of PEFT's linear layers.

    ``side``: ``"rows"`` where the neurons are outputs, ``"columns"`` where they are inputs. ``neurons``: their places,
    int64 ``[n]``, ascending.
    """

    # PEFT's dense layer rounds to the output's type after the update is added, its 4-bit layer before: so do these.
    rounds_delta = False
    side: str
    neurons: torch.Tensor

    def __init__(
        self, base_layer: nn.Module, adapter_name: str, side: str, neurons: torch.Tensor, **kwargs: Any
    ) -> None:
        # PEFT's constructor already builds A and B, so these must be known before nn.Module's own set-up.
        self.__dict__.update(side=side, neurons=neurons)
        super().__init__(base_layer, adapter_name, **kwargs)

    def resolve_lora_variant(self, *, config: LoraConfig, **kwargs: Any) -> LoraVariant:
        return RowVariant() if self.side == "rows" else ColumnVariant()

    def dense_a(self, adapter_name: str) -> torch.Tensor:
        """lora_A in full, ``[r, in_features]``: zero in the columns that do not exist."""
        a: Any = self.lora_A[adapter_name]
        if self.side == "rows":
            return a.weight
        return a.weight.new_zeros(a.out_features, self.in_features).index_copy(1, a.neurons, a.weight)

    def dense_b(self, adapter_name: str) -> torch.Tensor:
        """lora_B in full, ``[out_features, r]``: zero in the rows that do not exist."""
        b: Any = self.lora_B[adapter_name]
        if self.side == "columns":
            return b.weight
        return b.weight.new_zeros(self.out_features, b.in_features).index_copy(0, b.neurons, b.weight)

    def get_delta_weight(self, adapter: str) -> torch.Tensor:
        """``(alpha / r) * (M o (B A))``, shape ``[out_features, in_features]``."""
        return self.dense_b(adapter) @ self.dense_a(adapter) * self.scaling[adapter]


class MaskedLinear(MaskedLayer, Linear):
    """A masked LoRA layer over ``nn.Linear``."""


@functools.cache
def _masked_linear_4bit() -> type[MaskedLayer]:
    from peft.tuners.lora.bnb import Linear4bit  # imports bitsandbytes

    class MaskedLinear4bit(MaskedLayer, Linear4bit):
        """A masked LoRA layer over ``bitsandbytes.nn.Linear4bit``."""

        rounds_delta = True

    return MaskedLinear4bit


def masked_layer(
    masked: dict[str, tuple[str, torch.Tensor]],
    target: nn.Module,
    adapter_name: str,
    *,
    target_name: str,
    **kwargs: Any,
) -> nn.Module | None:
    """PEFT asks this for every target: a masked layer for those of ``masked`` (full name -> side and neurons), None,
    which sends it on to PEFT's own layers, for the rest. ValueError for a module neither dense nor 4-bit."""
    if target_name not in masked:
        return None
    if type(target) is nn.Linear:
        layer_class: type[MaskedLayer] = MaskedLinear
    elif type(target).__name__ == "Linear4bit":
        layer_class = _masked_linear_4bit()
    else:
        raise ValueError(
            f"{target_name} is a {type(target).__name__}; masked LoRA works on nn.Linear and bitsandbytes' Linear4bit: "
            "load the model with quantization none or nf4"
        )
    side, neurons = masked[target_name]
    return layer_class(target, adapter_name, side=side, neurons=neurons, target_name=target_name, **kwargs)
