"""Identification: the masks of the methods, and what the jobs that make or read them need.

A mask is one file and one job: ``method/language``, or ``method`` for all of its languages (``methods.base.masks``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langneurons.config.load import Config
from langneurons.experiment.paths import paths_of
from langneurons.experiment.text import shards
from langneurons.methods import base
from langneurons.methods.base import mask_files, masks, method_of


def method_languages(config: Config, method: str) -> list[str]:
    """Languages that ``method`` gives neurons of, in the configuration's order."""
    spec = config.methods[method]
    return method_of(spec).languages(spec, config)


def all_masks(config: Config) -> list[str]:
    """Every mask that the configuration's methods give."""
    return [mask for method in config.methods for mask in masks(config, method)]


def mask_method(mask: str) -> str:
    """The method of a mask."""
    return mask.partition("/")[0]


def mask_languages(config: Config, mask: str) -> list[str]:
    """The languages whose neurons a mask holds."""
    method, _, language = mask.partition("/")
    return [language] if language else method_languages(config, method)


def mask_inputs(config: Config, mask: str) -> base.Inputs:
    """What identification reads for a mask: counts of languages, masks of other methods."""
    spec = config.methods[mask_method(mask)]
    return method_of(spec).inputs(spec, config, mask_languages(config, mask))


def mask_settings(config: Config, mask: str) -> dict[str, Any]:
    """All that a mask's neurons depend on."""
    return base.method_settings(config.methods[mask_method(mask)], config, mask_languages(config, mask))


def settings_of_masks(config: Config, method: str, languages: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """All that the neurons of each of these masks depend on, in the order of ``mask_files``."""
    return [mask_settings(config, mask) for mask in masks(config, method, languages)]


def method_files(config: Config, model: str, method: str) -> list[str]:
    """The files of all of a method's masks."""
    return mask_files(config, model, method)


def method_settings(config: Config, method: str) -> list[dict[str, Any]]:
    """``settings_of_masks`` of all of a method's masks."""
    return settings_of_masks(config, method)


def text_languages(config: Config, method: str) -> set[str]:
    """Languages whose text the neurons of ``method`` come from, those of the masks that it reads too, and its own."""
    needed = set(method_languages(config, method))
    for inputs in (mask_inputs(config, mask) for mask in masks(config, method)):
        needed = needed.union(inputs.counts, *(text_languages(config, other) for other in inputs.masks))
    return needed


def identification_input(config: Config, model: str, mask: str) -> dict[str, list[str]]:
    """Counts of languages and masks of other methods; ``input_names`` says what each is of."""
    paths, inputs = paths_of(config), mask_inputs(config, mask)
    read = [file for other, languages in inputs.masks.items() for file in mask_files(config, model, other, languages)]
    return {"activations": [paths.activations(model, language) for language in inputs.counts], "masks": read}


def input_names(config: Config, mask: str) -> dict[str, list[str]]:
    """What each file of ``identification_input`` is of: a language its counts, a method its mask."""
    inputs = mask_inputs(config, mask)
    methods = [other for other, languages in inputs.masks.items() for _ in masks(config, other, languages)]
    return {"activations": inputs.counts, "masks": methods}


def half_input(config: Config, model: str, mask: str, half: str) -> dict[str, list[str]]:
    """Language -> its counts on every second shard; ``half`` is even or odd.

    ValueError where there is one shard alone.
    """
    chosen = {"even": shards(config)[::2], "odd": shards(config)[1::2]}[half]
    if not chosen:
        raise ValueError("corpus.shards: one shard has no halves; write 2 or more")
    paths = paths_of(config)
    return {
        language: [paths.shard_activations(model, language, shard) for shard in chosen]
        for language in mask_inputs(config, mask).counts
    }


def identified_shards(config: Config, mask: str) -> list[str]:
    """The shards whose counts identification reads; none for a method that reads no counts."""
    return shards(config) if mask_inputs(config, mask).counts else []


def mask_entries(config: Config, mask: str) -> list[tuple[str, str]]:
    """(package, name) of the registry's entry that makes a mask."""
    return [("methods", config.methods[mask_method(mask)].kind)]
