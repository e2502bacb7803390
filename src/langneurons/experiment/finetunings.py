"""Fine-tunings: which a run needs, what their jobs read, and the settings that their adapters depend on."""

from __future__ import annotations

from typing import Any

from langneurons.config.load import Config
from langneurons.experiment.condition import BASE, PRETRAINED, split_finetuning
from langneurons.experiment.conditions import table_conditions
from langneurons.experiment.identification import settings_of_masks
from langneurons.experiment.models import loadable
from langneurons.experiment.paths import paths_of
from langneurons.methods.base import mask_files


def finetunings(config: Config) -> dict[tuple[str, str], list[str]]:
    """(model, task) -> the fine-tunings that the tables of a run need, in order; ``pretrained`` is among them."""
    found: dict[tuple[str, str], set[str]] = {}
    for name in config.run.tables:
        for c in table_conditions(config, name):
            found.setdefault((c.model, c.task), set()).add(c.finetuning)
    return {key: sorted(names, key=lambda name: (name != BASE, name)) for key, names in found.items()}


def trained(config: Config) -> dict[tuple[str, str], list[str]]:
    """As ``finetunings``, of those alone that a job trains."""
    found = {key: [name for name in names if name != PRETRAINED] for key, names in finetunings(config).items()}
    return {key: names for key, names in found.items() if names}


def finetuning_input(config: Config, model: str, task: str, finetuning: str) -> dict[str, str | list[str]]:
    """Model, training and validation data, and the masks of one with neurons."""
    paths = paths_of(config)
    languages, method = split_finetuning(finetuning)
    source = config.tasks[task].source_language
    files: dict[str, str | list[str]] = {"model": loadable(config, model), "train": paths.task(task, source, "train")}
    if config.finetuning[task].validation:
        files["validation"] = paths.task(task, source, "test")
    if method:
        files["masks"] = mask_files(config, model, method, languages)
    return files


def finetuning_settings(config: Config, task: str, finetuning: str) -> dict[str, Any] | None:
    """The keys of finetuning that this one's result depends on; None for pretrained."""
    if finetuning == PRETRAINED:
        return None
    without = {"gradient_checkpointing"} | ({"targets"} if finetuning == BASE else set())
    return config.finetuning[task].model_dump(exclude=without)


def finetuning_method(config: Config, finetuning: str) -> list[dict[str, Any]] | None:
    """Settings of each mask whose neurons are fine-tuned; None where no neurons are."""
    languages, method = split_finetuning(finetuning)
    return None if method is None else settings_of_masks(config, method, languages)


def curves(config: Config, model: str, task: str) -> list[str]:
    """The training curves of a model on a task."""
    return [paths_of(config).curve(model, task, finetuning) for finetuning in trained(config)[model, task]]
