"""Identification: the languages of a method, and what its jobs read."""

from __future__ import annotations

from typing import Any

from langneurons.config.load import Config
from langneurons.experiment.paths import paths_of
from langneurons.experiment.text import shards
from langneurons.methods import base
from langneurons.methods.base import method_of


def method_languages(config: Config, method: str) -> list[str]:
    """Languages that ``method`` gives neurons of, in the configuration's order."""
    spec = config.methods[method]
    return method_of(spec).languages(spec, config)


def method_inputs(config: Config, method: str) -> base.Inputs:
    """What identification by ``method`` reads: counts of languages, masks of other methods."""
    spec = config.methods[method]
    return method_of(spec).inputs(spec, config, method_languages(config, method))


def text_languages(config: Config, method: str) -> set[str]:
    """Languages whose text the neurons of ``method`` come from, those of the masks that it reads too, and its own."""
    inputs = method_inputs(config, method)
    needed = {*method_languages(config, method), *inputs.counts}
    return needed.union(*(text_languages(config, other) for other in inputs.masks))


def identification_input(config: Config, model: str, method: str) -> dict[str, list[str]]:
    """Counts of languages and masks of other methods, in ``method_inputs``' order."""
    paths, inputs = paths_of(config), method_inputs(config, method)
    return {
        "activations": [paths.activations(model, language) for language in inputs.counts],
        "masks": [paths.neurons(model, other) for other in inputs.masks],
    }


def half_input(config: Config, model: str, method: str, half: str) -> dict[str, list[str]]:
    """Language -> its counts on every second shard; ``half`` is even or odd.

    ValueError where there is one shard alone.
    """
    chosen = {"even": shards(config)[::2], "odd": shards(config)[1::2]}[half]
    if not chosen:
        raise ValueError("corpus.shards: one shard has no halves; write 2 or more")
    paths = paths_of(config)
    return {
        language: [paths.shard_activations(model, language, shard) for shard in chosen]
        for language in method_inputs(config, method).counts
    }


def input_names(config: Config, method: str) -> dict[str, list[str]]:
    """What the files of ``identification_input`` are of: the languages of the counts, the methods of the masks."""
    inputs = method_inputs(config, method)
    return {"activations": inputs.counts, "masks": list(inputs.masks)}


def identified_shards(config: Config, method: str) -> list[str]:
    """The shards whose counts identification reads; none for a method that reads no counts."""
    return shards(config) if method_inputs(config, method).counts else []


def method_settings(config: Config, method: str) -> dict[str, Any]:
    """All that the method's neurons depend on."""
    return base.method_settings(config.methods[method], config, method_languages(config, method))


def method_entries(config: Config, method: str) -> list[tuple[str, str]]:
    """(package, name) of the registry's entry that identification by ``method`` uses."""
    return [("methods", config.methods[method].kind)]
