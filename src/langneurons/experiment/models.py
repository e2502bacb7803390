"""The models of an experiment: where they come from, and which directory a job loads."""

from __future__ import annotations

from langneurons.config.load import Config
from langneurons.experiment.paths import paths_of


def models_from(config: Config, source: str) -> list[str]:
    """Keys of the models whose ``source`` this is."""
    return [key for key, model in config.models.items() if model.source == source]


def quantized_models(config: Config) -> list[str]:
    """Keys of the models that are loaded in 4 bits."""
    return [key for key, model in config.models.items() if model.quantization != "none"]


def loadable(config: Config, model: str) -> str:
    """The directory that a job loads a model from: its 4-bit weights, made once, where it has some."""
    paths = paths_of(config)
    return paths.quantized(model) if model in quantized_models(config) else paths.model(model)
