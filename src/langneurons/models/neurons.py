"""Where each architecture keeps its neurons.

A neuron is a pair (layer, index) of a gated feed-forward layer, ``down(act(gate(x)) * up(x))``: index j of the
``d_ff`` values between ``gate`` and ``down``. ``z = gate(x)`` is the pre-activation, ``a = act(z)`` the activation.
``ARCHITECTURES`` says, by ``config.model_type``, which module is which; nothing is guessed from names, because several
architectures have a ``gate_proj`` and another forward (gemma3n, llama4, bitnet) or a dense layer beside experts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Architecture:
    """Names of one architecture: attributes of the decoder, of a layer, of its MLP, and keys of its configuration."""

    layers: str = "layers"
    mlp: str = "mlp"
    gate: str = "gate_proj"
    act: str = "act_fn"
    up: str = "up_proj"
    down: str = "down_proj"
    width: str = "intermediate_size"
    activation: str = "hidden_act"


# model_type -> names. An entry belongs here only if the MLP's forward is down(act(gate(x)) * up(x)) with `act` a module
# of its own in every layer: both are what the recorders and the interventions hook.
ARCHITECTURES: dict[str, Architecture] = {
    "llama": Architecture(),
    "mistral": Architecture(),
    "qwen2": Architecture(),
    "qwen3": Architecture(),
}


@dataclass(frozen=True)
class LayerSites:
    """The feed-forward modules of one layer.

    ``gate``: its output is z, shape ``[..., d_ff]`` (a LoRA layer where PEFT has put one: its output is z as adapted).
    ``act``: its output is a, same shape. ``up``, ``down``, ``mlp``: the rest of the layer and the layer itself.
    """

    index: int
    mlp: nn.Module
    gate: nn.Module
    act: nn.Module
    up: nn.Module
    down: nn.Module


@dataclass(frozen=True)
class NeuronSites:
    """All feed-forward layers of a model, in order, with their width and the activation's name (as ``"silu"``)."""

    layers: list[LayerSites]
    neurons_per_layer: int
    activation: str


def find_neurons(model: nn.Module) -> NeuronSites:
    """Find the feed-forward modules of a transformers model, under any depth of wrappers (PEFT, compiled, parallel).

    The modules are those in place now: call this again after PEFT has replaced some.

    Raises ValueError for an architecture that ``ARCHITECTURES`` does not list, and for a model whose modules are not
    where its entry says.
    """
    pretrained = _pretrained(model)
    kind = pretrained.config.model_type
    if kind not in ARCHITECTURES:
        raise ValueError(
            f"model_type {kind!r} ({type(pretrained).__name__}) is not a known architecture; its first layer has "
            f"{_first_layer(pretrained)}. Known: {', '.join(sorted(ARCHITECTURES))}. If its MLP computes "
            "down(act(gate(x)) * up(x)) with a module for each, add an entry to ARCHITECTURES in "
            "src/langneurons/models/neurons.py; otherwise use another model."
        )
    names, config = ARCHITECTURES[kind], pretrained.config
    width = getattr(config, names.width)
    layers = [
        _layer_sites(kind, names, index, layer, width)
        for index, layer in enumerate(_child(pretrained.base_model, names.layers, kind, "the decoder"))
    ]
    if len({id(layer.act) for layer in layers}) != len(layers):
        raise ValueError(
            f"model_type {kind!r}: layers share one activation module, so a hook cannot tell them apart; give every "
            "layer a module of its own"
        )
    return NeuronSites(layers, width, getattr(config, names.activation))


def _pretrained(model: nn.Module):
    """The transformers model inside ``model``: the outermost one, so a multimodal model is refused by its own name."""
    from transformers import PreTrainedModel

    for module in model.modules():
        if isinstance(module, PreTrainedModel):
            return module
    raise ValueError(f"{type(model).__name__} holds no transformers model; pass what models.loading.load_base returns")


def _layer_sites(kind: str, names: Architecture, index: int, layer: nn.Module, width: int) -> LayerSites:
    mlp = _child(layer, names.mlp, kind, f"layer {index}")
    where = f"layer {index}'s {names.mlp}"
    gate, act, up, down = (_child(mlp, name, kind, where) for name in (names.gate, names.act, names.up, names.down))
    found = getattr(gate, "out_features", width)
    if found != width:
        raise ValueError(
            f"model_type {kind!r}: {where}.{names.gate} has {found} outputs, config.{names.width} says {width}; "
            "the snapshot's config.json does not belong to its weights"
        )
    return LayerSites(index, mlp, gate, act, up, down)


def _child(module: nn.Module, name: str, kind: str, where: str) -> nn.Module:
    child = getattr(module, name, None)
    if child is None:
        found = ", ".join(dict(module.named_children())) or "no modules"
        raise ValueError(
            f"model_type {kind!r}: {where} ({type(module).__name__}) has no {name}, only {found}; correct the entry in "
            "ARCHITECTURES in src/langneurons/models/neurons.py"
        )
    return child


def _first_layer(pretrained: nn.Module) -> str:
    """The modules of the first layer in words, for the error message of an unknown architecture."""
    from torch import nn

    for module in pretrained.modules():
        if isinstance(module, nn.ModuleList) and len(module):
            return ", ".join(name for name, _ in module[0].named_modules() if name) or type(module[0]).__name__
    return "no list of layers"
