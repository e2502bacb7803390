"""One method's mask from the files of the workflow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langneurons.methods.mask import NeuronMask, mask_from
from langneurons.methods.sources import Sources
from langneurons.registry import entry


def identify(method: str, settings: Mapping[str, Any], sources: Sources) -> NeuronMask:
    """The mask of ``settings["languages"]`` by the method of kind ``settings["kind"]``.

    ``settings``: what ``methods.base.method_settings`` gives. Raises ValueError as the method's ``select`` and
    ``sources`` do, naming the file.
    """
    entries, scores, details = entry("methods", settings["kind"]).select(settings, sources)
    layers, width = sources.shape
    return mask_from(
        method,
        entries,
        scores,
        layers=layers,
        neurons_per_layer=width,
        model=sources.model,
        languages=settings["languages"],
        details=details,
    )
