"""What the configuration's other sections may contradict in a table: (place, what is wrong) of each fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from langneurons.activations.statistic_names import PLAIN, percentile_name, percentile_of
from langneurons.config.faults import unknown
from langneurons.experiment.condition import NONE, PRETRAINED
from langneurons.interventions.base import UnknownIntervention, find, known, operation
from langneurons.sections.tables import MethodTable, TaskTable
from langneurons.tables.base import Context
from langneurons.tables.common import targets_of, task_of
from langneurons.tasks.base import answers_in_words


def intervention_checks(
    values: list[str], where: str, context: Context, none: bool = True
) -> Iterator[tuple[str, str]]:
    """Of names of interventions; ``none``: whether a table may name the evaluation without one."""
    percentiles = [percentile_name(p) for p in context.config.statistics.percentiles]
    for i, value in enumerate(values):
        place = f"{where}.interventions[{i}]"
        if none and value == NONE:
            continue
        try:
            key, parsed = find(value)
        except UnknownIntervention:
            yield place, unknown(value, [*([NONE] if none else []), *known(percentiles)], "intervention")
        except ValueError as error:
            yield place, str(error)
        else:
            for statistic in operation(key).statistics(parsed):
                yield from _statistic_checks(statistic, place, context)


def column_checks(columns: list[str], where: str, context: Context) -> Iterator[tuple[str, str]]:
    """Of names of statistics."""
    for i, column in enumerate(columns):
        yield from _statistic_checks(column, f"{where}.columns[{i}]", context)


def _statistic_checks(name: str, where: str, context: Context) -> Iterator[tuple[str, str]]:
    """What is wrong with a statistic's name: of percentiles, only those of the configuration's list are collected."""
    percentiles = [percentile_name(p) for p in context.config.statistics.percentiles]
    if name in PLAIN or name in percentiles:
        return
    q = percentile_of(name)
    if q is None:
        yield where, unknown(name, [*PLAIN, *percentiles], "column")
    elif percentile_name(q) in percentiles:
        yield where, f"is {name}; write {percentile_name(q)}"
    elif not 0 < q < 100:
        listed = ", ".join(percentiles)
        yield where, f"is {name}, and percentiles lie between 0 and 100, exclusive; write one of: {listed}"
    else:
        yield where, f"{name} is not collected; add {name[1:]} to statistics.percentiles"


def task_checks(name: str, section: TaskTable, context: Context) -> Iterator[tuple[str, str]]:
    """Of a table of a task's conditions: the task's fine-tuning, the table's languages and method_groups."""
    method_groups, where = context.config.method_groups, f"tables.{name}"
    if getattr(section, "finetuning", None) == PRETRAINED:
        if not answers_in_words(task_of(section, context)):
            yield (
                f"{where}.finetuning",
                f"is pretrained, and '{section.task}' needs a classifier, which training alone makes; write base",
            )
    elif section.task not in context.config.finetuning:
        yield f"{where}.task", f"needs models fine-tuned on '{section.task}'; add finetuning.{section.task}"
    known = task_of(section, context).languages
    for i, language in enumerate(section.languages or []):
        if language not in known:
            yield f"{where}.languages[{i}]", unknown(language, known, "target language")
    for i, group in enumerate(section.method_groups):
        place = f"{where}.method_groups[{i}]"
        if group not in method_groups:
            yield place, unknown(group, list(method_groups), "method group")
            continue
        for language in targets_of(section, context):
            if language not in method_groups[group]:
                yield place, f"method group '{group}' names no method for '{language}'; add it to method_groups"
    yield from _same_rows(section, context, f"{where}.method_groups")


def _same_rows(section: TaskTable, context: Context, where: str) -> Iterator[tuple[str, str]]:
    """Comparisons of one table that select the same neurons of a language: its rows would count twice."""
    for language in targets_of(section, context):
        first: list[tuple[dict, str, str]] = []
        for i, group in enumerate(section.method_groups):
            method = context.config.method_groups.get(group, {}).get(language)
            if method not in context.config.methods:
                continue
            selection = context.selection_of(method)
            same = next(((name, other) for known, name, other in first if known == selection), None)
            if same:
                methods = f"method '{method}'" if same[1] == method else f"one selection ('{same[1]}' and '{method}')"
                yield (
                    f"{where}[{i}]",
                    f"'{same[0]}' and '{group}' have {methods} for '{language}', so its rows would count twice; "
                    "take one of them out, or name another method in method_groups",
                )
            else:
                first.append((selection, group, method))


def known_groups(name: str, section: TaskTable, context: Context) -> Iterator[tuple[str, str, dict[str, str]]]:
    """(place, group, language -> method) of each method group of a table that there is."""
    for i, group in enumerate(section.method_groups):
        if group in context.config.method_groups:
            yield f"tables.{name}.method_groups[{i}]", group, context.config.method_groups[group]


def method_checks(
    name: str, section: MethodTable, context: Context, takes: Callable[[str], bool] | None = None
) -> Iterator[tuple[str, str]]:
    """Of a table that goes by methods: they are known, and such that the table ``takes`` them."""
    methods = context.config.methods
    for i, key in enumerate(section.methods):
        where = f"tables.{name}.methods[{i}]"
        if key not in methods:
            yield where, unknown(key, list(methods), "method")
        elif takes and not takes(key):
            kinds = " or ".join(sorted({spec.kind for other, spec in methods.items() if takes(other)}))
            wanted = f"methods of kind {kinds}" if kinds else "methods of another kind"
            yield where, f"method '{key}' is of kind {methods[key].kind}; {section.kind} takes {wanted}"
