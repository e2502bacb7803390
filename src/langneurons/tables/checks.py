"""What the configuration's other sections may contradict in a table: (place, what is wrong) of each fault."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from langneurons.config.faults import unknown
from langneurons.sections.tables import MethodTable, TaskTable
from langneurons.tables.base import Context
from langneurons.tables.common import targets_of, task_of

PERCENTILE = re.compile(r"^p(\d+(?:\.\d+)?)$")
INTERVENTIONS = {"none", "mean", "zero"}
STATISTICS = {"mean", "std", "positive"}


def value_checks(
    values: list[str], plain: set[str], where: str, place: str, context: Context
) -> Iterator[tuple[str, str]]:
    """Of names of interventions or statistics: ``plain`` ones, and percentiles that are collected."""
    collected = context.config.statistics.percentiles
    percentiles = {f"p{p:g}" for p in collected}
    for i, value in enumerate(values):
        if value in plain or value in percentiles:
            continue
        if PERCENTILE.match(value) and (plainly := f"p{float(value[1:]):g}") in percentiles:
            yield f"{where}.{place}[{i}]", f"is {value}; write {plainly}"
        elif PERCENTILE.match(value) and not 0 < float(value[1:]) < 100:
            known = ", ".join(f"p{p:g}" for p in collected)
            yield (
                f"{where}.{place}[{i}]",
                f"is {value}, and percentiles lie between 0 and 100, exclusive; write one of: {known}",
            )
        elif PERCENTILE.match(value):
            yield f"{where}.{place}[{i}]", f"{value} is not collected; add {value[1:]} to statistics.percentiles"
        else:
            yield f"{where}.{place}[{i}]", unknown(value, list(plain | percentiles), place[:-1])


def task_checks(name: str, section: TaskTable, context: Context) -> Iterator[tuple[str, str]]:
    """Of a table of a task's conditions: its languages and comparisons."""
    comparisons, where = context.config.comparisons, f"tables.{name}"
    known = task_of(section, context).languages
    for i, language in enumerate(section.languages or []):
        if language not in known:
            yield f"{where}.languages[{i}]", unknown(language, known, "target language")
    for i, comparison in enumerate(section.comparisons):
        place = f"{where}.comparisons[{i}]"
        if comparison not in comparisons:
            yield place, unknown(comparison, list(comparisons), "comparison")
            continue
        for language in targets_of(section, context):
            if language not in comparisons[comparison]:
                yield place, f"comparison '{comparison}' names no method for '{language}'; add it to comparisons"
    yield from _same_rows(section, context, f"{where}.comparisons")


def _same_rows(section: TaskTable, context: Context, where: str) -> Iterator[tuple[str, str]]:
    """Comparisons of one table that select the same neurons of a language: its rows would count twice."""
    for language in targets_of(section, context):
        first: list[tuple[dict, str, str]] = []
        for i, comparison in enumerate(section.comparisons):
            method = context.config.comparisons.get(comparison, {}).get(language)
            if method not in context.config.methods:
                continue
            selection = context.selection_of(method)
            same = next(((name, other) for known, name, other in first if known == selection), None)
            if same:
                methods = f"method '{method}'" if same[1] == method else f"one selection ('{same[1]}' and '{method}')"
                yield (
                    f"{where}[{i}]",
                    f"'{same[0]}' and '{comparison}' have {methods} for '{language}', so its rows would count twice; "
                    "take one of them out, or name another method in comparisons",
                )
            else:
                first.append((selection, comparison, method))


def known_comparisons(name: str, section: TaskTable, context: Context) -> Iterator[tuple[str, str, dict[str, str]]]:
    """(place, comparison, language -> method) of each comparison of a table that there is."""
    for i, comparison in enumerate(section.comparisons):
        if comparison in context.config.comparisons:
            yield f"tables.{name}.comparisons[{i}]", comparison, context.config.comparisons[comparison]


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
