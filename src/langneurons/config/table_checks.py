"""What the configuration's tables ask of its other sections."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from langneurons.config.faults import unknown
from langneurons.methods.base import method_of, method_settings
from langneurons.registry import entry
from langneurons.sections.tables import TaskTable
from langneurons.tables.base import Context

if TYPE_CHECKING:
    from langneurons.sections.configuration import Config


def languages_of(config: Config, method: str) -> list[str]:
    """Languages that a method gives neurons of; none where what it names is unknown."""
    spec = config.methods[method]
    return method_of(spec).languages(spec, config)


def table_context(config: Config) -> Context:
    """What the entries of tables may ask of the configuration."""
    return Context(
        config=config,
        languages_of=partial(languages_of, config),
        matched_to=lambda method: method_of(config.methods[method]).matched_to(config.methods[method]),
        selection_of=partial(_selection, config),
        counted=lambda method: method_of(config.methods[method]).COUNTS,
        ranked=lambda method: method_of(config.methods[method]).SPREAD,
    )


def table_checks(config: Config) -> Iterator[tuple[str, str]]:
    """(place, what is wrong) of everything in the tables that other sections contradict."""
    context = table_context(config)
    for name, table in config.tables.items():
        for i, key in enumerate(table.models or []):
            if key not in config.models:
                yield f"tables.{name}.models[{i}]", unknown(key, list(config.models), "model")
        if isinstance(table, TaskTable) and table.task not in config.tasks:
            yield f"tables.{name}.task", unknown(table.task, list(config.tasks), "task")
            continue  # an entry's own checks ask for the task's languages
        yield from entry("tables", table.kind).checks(name, table, context)


def _selection(config: Config, method: str) -> dict:
    """All that a method's neurons depend on, in any order of its languages; the method itself where it has none."""
    languages = sorted(languages_of(config, method))
    return method_settings(config.methods[method], config, languages) if languages else {"method": method}
