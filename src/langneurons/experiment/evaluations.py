"""Evaluation of a condition: what its job reads, and the settings that its numbers depend on."""

from __future__ import annotations

from typing import Any

from langneurons.activations.statistic_names import PLAIN, percentile_name, settings_of
from langneurons.config.load import Config
from langneurons.experiment.condition import NONE, PRETRAINED, split_intervention
from langneurons.experiment.identification import settings_of_masks
from langneurons.experiment.models import loadable
from langneurons.experiment.paths import paths_of
from langneurons.interventions.base import find, statistics_of
from langneurons.methods.base import mask_files


def evaluation_input(
    config: Config, model: str, task: str, finetuning: str, language: str, intervention: str
) -> dict[str, str | list[str]]:
    """Model, test set, the adapter if it is fine-tuned; of an intervention the mask and what statistics it reads."""
    paths = paths_of(config)
    _, method = split_intervention(intervention)
    files: dict[str, str | list[str]] = {
        "model": loadable(config, model),
        "test": paths.task(task, language, "test"),
    }
    if finetuning != PRETRAINED:
        files["adapter"] = paths.adapter(model, task, finetuning)
    if method:
        (files["mask"],) = mask_files(config, model, method, [language])
        if read := _statistics(intervention):
            files["statistics"] = [paths.statistic(model, language, name) for name in read]
    return files


def expected_statistics(config: Config, intervention: str) -> dict[str, dict[str, str]]:
    """Name -> what its file must be of, of each statistic that an intervention reads, as ``evaluation_input``."""
    return {name: statistic_settings(config, name) for name in _statistics(intervention)}


def statistic_settings(config: Config, statistic: str) -> dict[str, str]:
    """The keys of ``statistics`` that this one depends on. ValueError for a percentile that is not among its own."""
    known = [*PLAIN, *map(percentile_name, config.statistics.percentiles)]
    if statistic not in known:
        missing = statistic.removeprefix("p")
        raise ValueError(f"{statistic}: is none of {', '.join(known)}; add {missing} to statistics.percentiles")
    return settings_of(statistic, config.statistics.site, config.statistics.estimate)


def intervention_site(config: Config, intervention: str) -> str | None:
    """Where an intervention acts; None for none."""
    return None if intervention == NONE else config.interventions.site


def intervention_method(config: Config, language: str, intervention: str) -> dict[str, Any] | None:
    """Settings of the mask whose neurons an intervention changes; None for none."""
    method = split_intervention(intervention)[1]
    return None if method is None else settings_of_masks(config, method, [language])[0]


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
