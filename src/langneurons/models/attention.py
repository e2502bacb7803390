"""Finding the linear modules of a model's attention, which LoRA adapts in full."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from langneurons.models.architectures import ARCHITECTURES
from langneurons.models.neurons import child_of, decoder_layers, pretrained_of

if TYPE_CHECKING:
    from torch import nn


def attention_targets(model: nn.Module) -> tuple[str, ...]:
    """Names of the linear modules of a model's attention, by its architecture."""
    decoder_layers(model)  # refuses an architecture that is not known
    return ARCHITECTURES[pretrained_of(model).config.model_type].attention_targets


def attention_modules(model: nn.Module, targets: Sequence[str] | None = None) -> dict[str, nn.Module]:
    """Full name -> module, of the ``targets`` in the attention of every layer of the decoder.

    None stands for the architecture's own (``ARCHITECTURES``). Modules of these names elsewhere, as those of a vision
    tower, are left out. ValueError for an unknown architecture and a target that a layer's attention does not have.
    """
    layers = decoder_layers(model)
    kind = pretrained_of(model).config.model_type
    targets = ARCHITECTURES[kind].attention_targets if targets is None else targets
    names = {id(module): name for name, module in model.named_modules()}
    found = {}
    for index, layer in enumerate(layers):
        attention = child_of(layer, ARCHITECTURES[kind].attention, kind, f"layer {index}")
        for target in targets:
            module = getattr(attention, target, None)
            if module is None or getattr(module, "weight", None) is None or module.weight.ndim != 2:
                linear = [name for name, child in attention.named_children() if hasattr(child, "in_features")]
                raise ValueError(
                    f"attention_targets: the attention of model_type {kind!r} has no linear module {target!r}; write "
                    f"some of {', '.join(linear)}, or null for {', '.join(ARCHITECTURES[kind].attention_targets)}"
                )
            found[names[id(module)]] = module
    return found
