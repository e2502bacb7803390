"""Identification: the languages of a method, and what its jobs read."""

from __future__ import annotations

from typing import Any

from langneurons.config.load import Config
from langneurons.experiment.paths import paths_of
from langneurons.experiment.text import shards


def method_languages(config: Config, method: str) -> list[str]:
    """Languages that ``method`` gives neurons of, in the configuration's order."""
    spec = config.methods[method]
    if spec.kind == "lape":
        return list(config.language_sets[spec.set])
    if spec.kind == "activation_probability":
        return list(spec.languages)
    return list(config.comparisons[spec.like])


def random_references(config: Config, method: str) -> dict[str, str]:
    """For a random method: the method whose neuron numbers each language copies."""
    return dict(config.comparisons[config.methods[method].like])


def statistics_languages(config: Config, method: str) -> list[str]:
    """Languages whose statistics identification by ``method`` reads (none for random)."""
    return [] if config.methods[method].kind == "random" else method_languages(config, method)


def random_controls(config: Config, comparison: str) -> list[str]:
    """Methods of random neurons, as many a layer as ``comparison``'s: its controls, a seed each."""
    return [name for name, spec in config.methods.items() if spec.kind == "random" and spec.like == comparison]


def identification_input(config: Config, model: str, method: str) -> dict[str, list[str]]:
    """Counts of the method's languages; for random neurons, the masks whose numbers they copy."""
    paths = paths_of(config)
    if config.methods[method].kind == "random":
        references = random_references(config, method)
        return {"masks": [paths.neurons(model, reference) for reference in sorted(set(references.values()))]}
    return {"activations": [paths.activations(model, language) for language in statistics_languages(config, method)]}


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
        for language in statistics_languages(config, method)
    }


def identified_shards(config: Config, method: str) -> list[str]:
    """The shards whose counts identification reads; none for random neurons."""
    return shards(config) if statistics_languages(config, method) else []


def method_settings(config: Config, method: str) -> dict[str, Any]:
    """The method's own keys, and the languages that its set or comparison stands for."""
    spec = config.methods[method]
    chosen = spec.model_dump(exclude={"set", "like"}) | {"languages": method_languages(config, method)}
    if spec.kind == "random":
        chosen["references"] = random_references(config, method)
    return chosen
