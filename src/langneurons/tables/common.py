"""What several kinds of tables take from the configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from langneurons.experiment.condition import Condition
from langneurons.experiment.paths import paths_of
from langneurons.methods.base import masks
from langneurons.sections.tables import MethodTable, TableSection, TaskTable
from langneurons.tables.base import Context
from langneurons.tasks.base import task_of as entry_of


def models_of(section: TableSection, context: Context) -> list[str]:
    """Models of a table, in order."""
    return section.models or context.config.run.models


def titles_of(section: TableSection, context: Context) -> dict[str, str]:
    """Model -> its title, of a table's models."""
    return {model: context.config.models[model].title for model in models_of(section, context)}


def common_params(section: TableSection, context: Context) -> dict[str, Any]:
    """What every table's layout depends on: its own section, and its models' titles."""
    return section.model_dump() | {"titles": titles_of(section, context)}


def task_of(section: TaskTable, context: Context) -> Any:
    """The section of a table's task."""
    return context.config.tasks[section.task]


def targets_of(section: TaskTable, context: Context) -> list[str]:
    """Target languages of a table, in order."""
    return section.languages or task_of(section, context).languages


def notes_of(section: TaskTable, context: Context, beside_paper: bool = False) -> list[str]:
    """What the task says of its metrics below a table; ``beside_paper``: below one beside the paper's numbers."""
    task = task_of(section, context)
    return entry_of(task).notes(task, beside_paper)


def condition_inputs(conditions: Iterable[Condition], context: Context) -> dict[str, list[str]]:
    """The files of these conditions."""
    paths, conditions = paths_of(context.config), list(conditions)
    return {
        "metrics": [paths.metrics(c) for c in conditions],
        "predictions": [paths.predictions(c) for c in conditions],
    }


def pairs_of(section: MethodTable, context: Context) -> list[tuple[str, str]]:
    """Model and method of each part of a table that goes by both."""
    return [(model, method) for model in models_of(section, context) for method in section.methods]


def pair_params(section: MethodTable, context: Context) -> dict[str, Any]:
    """What the layout of a table depends on that goes by models and methods."""
    return common_params(section, context) | {"pairs": pairs_of(section, context)}


def mask_params(section: MethodTable, context: Context) -> dict[str, Any]:
    """``pair_params`` of a table that reads masks; ``masks``: how many files each pair has."""
    found = pair_params(section, context)
    return found | {"masks": [len(masks(context.config, method)) for _, method in found["pairs"]]}


def masks_by_pair(params: Mapping[str, Any], files: Iterable[Any]) -> dict[tuple[str, str], list[Any]]:
    """(model, method) -> the files of its mask, which follow each other in the order of ``mask_params``."""
    rest = iter(files)
    found = {
        (model, method): list(islice(rest, number))
        for (model, method), number in zip(params["pairs"], params["masks"], strict=True)
    }
    if next(rest, None) is not None:
        raise ValueError(f"more files than the masks of {', '.join(method for _, method in found)} have")
    return found


def by_pair(params: Mapping[str, Any], files: Iterable[Any]) -> dict[tuple[str, str], Any]:
    """(model, method) -> its file, in the order of ``pair_params``."""
    return {(model, method): file for (model, method), file in zip(params["pairs"], files, strict=True)}
