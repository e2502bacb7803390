"""Finding the neurons of a model: the modules that compute them, in every layer.

A neuron is a pair (layer, index) of a feed-forward layer, ``down(act(gate(x)) * up(x))`` or, without a gate,
``down(act(up(x)))``: index j of the ``d_ff`` values that enter ``act``. ``z`` is what enters it, the pre-activation,
and ``a = act(z)`` the activation. Which module is which stands in ``langneurons.models.architectures``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langneurons.models.architectures import ARCHITECTURES, EXPERT_KEYS, PLACE, Architecture

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedConfig, PreTrainedModel


@dataclass(frozen=True)
class LayerSites:
    """The feed-forward modules of one layer.

    ``gate``: ``output[..., gate_columns]`` is z, shape ``[..., d_ff]`` (a LoRA layer where PEFT has put one: z as
    adapted); the up projection in a model without a gate. ``gate_columns``: all, or the first ``d_ff`` where the module
    computes gate and then up, so that neuron j is column j in every model. ``act``: its output is a, shape
    ``[..., d_ff]``. ``up``: what a is multiplied by; ``gate`` itself where that computes both, None without a gate.
    ``down``, ``mlp``: the rest, and the whole (the decoder layer where that holds the modules itself). The leading
    dimensions are batch and tokens, or both in one (opt).
    """

    index: int
    mlp: nn.Module
    gate: nn.Module
    act: nn.Module
    up: nn.Module | None
    down: nn.Module
    gate_columns: slice


@dataclass(frozen=True)
class NeuronSites:
    """All feed-forward layers of a model, in order, with their width and the activation's name (as ``"silu"``).

    ``structure``: ``"gated"``, ``"fused"`` (gate and up in one module) or ``"ungated"``.
    """

    layers: list[LayerSites]
    neurons_per_layer: int
    activation: str
    structure: str


def find_neurons(model: nn.Module) -> NeuronSites:
    """Find the feed-forward modules of a transformers model, under any depth of wrappers (PEFT, compiled, parallel).

    The modules are those in place now: call this again after PEFT has replaced some.

    Raises ValueError for a mixture of experts or another architecture that ``ARCHITECTURES`` does not list, and for a
    model whose modules are not where its entry says.
    """
    decoder = decoder_layers(model)
    pretrained = pretrained_of(model)
    kind = pretrained.config.model_type
    names = ARCHITECTURES[kind]
    config = getattr(pretrained.config, names.text_config) if names.text_config else pretrained.config
    width, source = _width(names, config)
    layers = [_layer_sites(kind, names, index, layer, width, source) for index, layer in enumerate(decoder)]
    if len({id(layer.act) for layer in layers}) != len(layers):
        raise ValueError(
            f"model_type {kind!r}: layers share one activation module, so a hook cannot tell them apart; give every "
            "layer a module of its own"
        )
    return NeuronSites(layers, width, names.fixed_activation or getattr(config, names.activation), names.structure)


def decoder_layers(model: nn.Module) -> list[nn.Module]:
    """The layers of a transformers model's decoder, under any depth of wrappers; ValueError as ``find_neurons``."""
    pretrained = pretrained_of(model)
    kind = pretrained.config.model_type
    if kind not in ARCHITECTURES:
        raise ValueError(_refusal(pretrained))
    layers: Any = child_of(pretrained.base_model, ARCHITECTURES[kind].layers, kind, "the decoder")  # a ModuleList
    return list(layers)


def pretrained_of(model: nn.Module) -> PreTrainedModel:
    """The transformers model inside ``model``: the outermost one, so a multimodal model goes by its own name."""
    from transformers import PreTrainedModel

    for module in model.modules():
        if isinstance(module, PreTrainedModel):
            return module
    raise ValueError(f"{type(model).__name__} holds no transformers model; pass what models.loading.load_base returns")


def _width(names: Architecture, config: PreTrainedConfig) -> tuple[int, str]:
    """d_ff, and in words where it is from."""
    width = getattr(config, names.width) if names.width else None
    if width is not None:
        return width, f"config.{names.width} says {width}"
    return 4 * config.hidden_size, f"config.hidden_size says 4 x {config.hidden_size}"


def _layer_sites(kind: str, names: Architecture, index: int, layer: nn.Module, width: int, source: str) -> LayerSites:
    where = f"layer {index}'s {names.mlp}" if names.mlp else f"layer {index}"
    mlp = child_of(layer, names.mlp, kind, f"layer {index}") if names.mlp else layer
    gate, act, down = (child_of(mlp, name, kind, where) for name in (names.gate, names.act, names.down))
    up = child_of(mlp, names.up, kind, where) if names.up else None
    fused = names.structure == "fused"
    columns = 2 * width if fused else width
    found = getattr(gate, "out_features", columns)
    if found != columns:
        raise ValueError(
            f"model_type {kind!r}: {where}.{names.gate} has {found} outputs, {source}"
            f"{f', so gate and up have {columns}' if fused else ''}; "
            "the snapshot's config.json does not belong to its weights"
        )
    return LayerSites(index, mlp, gate, act, up, down, slice(0, width) if fused else slice(None))


def child_of(module: nn.Module, path: str, kind: str, where: str) -> nn.Module:
    """The module at ``path`` below another; ValueError, saying what there is instead, where the table is wrong."""
    for name in path.split("."):
        child = getattr(module, name, None)
        if child is None:
            found = ", ".join(dict(module.named_children())) or "no modules"
            raise ValueError(
                f"model_type {kind!r}: {where} ({type(module).__name__}) has no {name}, only {found}; correct the "
                f"entry in {PLACE}"
            )
        module = child
    return module


def _refusal(pretrained: PreTrainedModel) -> str:
    """Why a model without an entry is refused: what it is, what its first layer has, and where an entry would go."""
    what = f"model_type {pretrained.config.model_type!r} ({type(pretrained).__name__})"
    found = f"its first layer has {_first_layer(pretrained)}"
    known = f"Known: {', '.join(sorted(ARCHITECTURES))}."
    config = pretrained.config.get_text_config()
    experts = [f"{key} = {value}" for key in EXPERT_KEYS if (value := vars(config).get(key))]
    if experts:
        return (
            f"{what} is a mixture of experts ({experts[0]}); {found}. A token reaches some of the experts only, so "
            f"their neurons have no value at the others: use a dense model. {known} Entries are in {PLACE}; for "
            "experts the recorders would have to change as well."
        )
    return (
        f"{what} is not a known architecture; {found}. {known} If its MLP computes down(act(gate(x)) * up(x)) or "
        f"down(act(up(x))), add an entry to {PLACE}; otherwise use another model."
    )


def _first_layer(pretrained: nn.Module) -> str:
    """The modules of the first layer in words, for the error message of an unknown architecture."""
    from torch import nn

    for module in pretrained.modules():
        if isinstance(module, nn.ModuleList) and len(module):
            return ", ".join(name for name, _ in module[0].named_modules() if name) or type(module[0]).__name__
    return "no list of layers"
