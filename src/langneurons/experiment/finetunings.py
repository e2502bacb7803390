"""Fine-tunings: which a run needs, what their jobs read, and the settings that their adapters depend on."""

from __future__ import annotations

from typing import Any

from langneurons.config.load import Config
from langneurons.experiment.condition import split_finetuning
from langneurons.experiment.conditions import table_conditions
from langneurons.experiment.identification import method_settings
from langneurons.experiment.models import loadable
from langneurons.experiment.paths import paths_of


def finetunings(config: Config) -> dict[tuple[str, str], list[str]]:
    """(model, task) -> the fine-tunings that the tables of a run need, in order."""
    found: dict[tuple[str, str], set[str]] = {}
    for name in config.run.tables:
        for c in table_conditions(config, name):
            found.setdefault((c.model, c.task), set()).add(c.finetuning)
    return {key: sorted(names, key=lambda name: (name != "base", name)) for key, names in found.items()}


def finetuning_input(config: Config, model: str, task: str, finetuning: str) -> dict[str, str]:
    """Model, training and validation data, and the mask of one with neurons."""
    paths = paths_of(config)
    _, method = split_finetuning(finetuning)
    source = config.tasks[task].source_language
    files = {"model": loadable(config, model), "train": paths.task(task, source, "train")}
    if config.finetuning[task].validation:
        files["validation"] = paths.task(task, source, "test")
    if method:
        files["mask"] = paths.neurons(model, method)
    return files


def finetuning_settings(config: Config, task: str, finetuning: str) -> dict[str, Any]:
    """The keys of finetuning that this one's result depends on."""
    without = {"gradient_checkpointing"} | ({"targets"} if finetuning == "base" else set())
    return config.finetuning[task].model_dump(exclude=without)


def finetuning_method(config: Config, finetuning: str) -> dict[str, Any] | None:
    """Settings of the method whose neurons are fine-tuned; None for base."""
    method = split_finetuning(finetuning)[1]
    return None if method is None else method_settings(config, method)


def curves(config: Config, model: str, task: str) -> list[str]:
    """The training curves of a model on a task."""
    return [paths_of(config).curve(model, task, finetuning) for finetuning in finetunings(config)[model, task]]
