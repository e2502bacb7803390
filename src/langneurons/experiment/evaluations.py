"""Evaluation of a condition: what its job reads, and the settings that its numbers depend on."""

from __future__ import annotations

from typing import Any

from langneurons.config.load import Config
from langneurons.experiment.condition import NONE, Condition, split_intervention
from langneurons.experiment.identification import method_settings
from langneurons.experiment.models import loadable
from langneurons.experiment.paths import paths_of
from langneurons.interventions.base import find, statistics_of


def evaluation_input(
    config: Config, model: str, task: str, finetuning: str, language: str, intervention: str
) -> dict[str, str]:
    """Model, adapter, test set, and for an intervention the mask and, where it reads one, the statistics."""
    paths = paths_of(config)
    condition = Condition(model, task, finetuning, language, intervention)
    _, method = split_intervention(intervention)
    files = {
        "model": loadable(config, model),
        "adapter": paths.adapter(condition.model, condition.task, condition.finetuning),
        "test": paths.task(task, language, "test"),
    }
    if method:
        files["mask"] = paths.neurons(model, method)
        if _statistics(intervention):
            files["statistics"] = paths.statistics(model, language)
    return files


def expected_statistics(config: Config, intervention: str) -> dict[str, str] | None:
    """What the statistics that an intervention reads must be of; None for one that reads none."""
    if not _statistics(intervention):
        return None
    return {"site": config.statistics.site, "estimate": config.statistics.estimate}


def intervention_site(config: Config, intervention: str) -> str | None:
    """Where an intervention acts; None for none."""
    return None if intervention == NONE else config.interventions.site


def intervention_method(config: Config, intervention: str) -> dict[str, Any] | None:
    """Settings of the method whose neurons an intervention changes; None for none."""
    method = split_intervention(intervention)[1]
    return None if method is None else method_settings(config, method)


def intervention_entries(config: Config, intervention: str) -> list[tuple[str, str]]:
    """(package, entry) of the operation that an intervention is; nothing for none."""
    found = _operation(intervention)
    return [] if found is None else [("interventions", found[0])]


def _statistics(intervention: str) -> list[str]:
    """The statistics that an intervention reads."""
    return [] if _operation(intervention) is None else statistics_of(split_intervention(intervention)[0])


def _operation(intervention: str) -> tuple[str, Any] | None:
    """The entry that an intervention is, and what it reads in its name; None for none. ValueError for another name."""
    value, method = split_intervention(intervention)
    if method is None:
        return None
    try:
        return find(value)
    except ValueError as error:
        raise ValueError(f"{intervention}: {error}") from None
