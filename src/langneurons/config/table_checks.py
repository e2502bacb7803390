"""What the configuration's tables and comparisons ask of its other sections."""

from __future__ import annotations

import re
from collections.abc import Iterator

from langneurons.config.faults import outside, unknown
from langneurons.methods.base import method_of, method_settings
from langneurons.registry import entries, entry
from langneurons.sections import MethodTable

PERCENTILE = re.compile(r"^p(\d+(?:\.\d+)?)$")


def languages_of(config, method: str) -> list[str]:
    """Languages that a method gives neurons of; none where what it names is unknown."""
    spec = config.methods[method]
    return method_of(spec).languages(spec, config)


def table_checks(config) -> Iterator[tuple[str, str]]:
    """(place, what is wrong) of everything in the tables that other sections contradict."""
    percentiles = {f"p{p:g}" for p in config.statistics.percentiles}
    for name, table in config.tables.items():
        where = f"tables.{name}"
        for i, key in enumerate(table.models or []):
            if key not in config.models:
                yield f"{where}.models[{i}]", unknown(key, list(config.models), "model")
        if isinstance(table, MethodTable):
            yield from _method_table_checks(config, name, table)
            continue
        if table.kind == "statistics":
            yield from outside(table.languages, config.corpus.languages, f"{where}.languages")
            values, place, plain = table.columns, "columns", {"mean", "std", "positive"}
        else:
            task = getattr(config.tasks, table.task)
            wanted = table.languages or task.languages
            for i, language in enumerate(table.languages or []):
                if language not in task.languages:
                    yield f"{where}.languages[{i}]", unknown(language, task.languages, "target language")
            for i, comparison in enumerate(table.comparisons):
                if comparison not in config.comparisons:
                    yield f"{where}.comparisons[{i}]", unknown(comparison, list(config.comparisons), "comparison")
                    continue
                yield from _comparison_checks(config, table, wanted, comparison, f"{where}.comparisons[{i}]")
            yield from _same_rows(config, table, wanted, f"{where}.comparisons")
            values, place, plain = table.interventions, "interventions", {"none", "mean", "zero"}
            if table.kind == "random_controls":
                plain = plain - {"none"}
        for i, value in enumerate(values):
            if value in plain or value in percentiles:
                continue
            if PERCENTILE.match(value) and (plainly := f"p{float(value[1:]):g}") in percentiles:
                yield f"{where}.{place}[{i}]", f"is {value}; write {plainly}"
            elif PERCENTILE.match(value) and not 0 < float(value[1:]) < 100:
                collected = ", ".join(f"p{p:g}" for p in config.statistics.percentiles)
                yield (
                    f"{where}.{place}[{i}]",
                    f"is {value}, and percentiles lie between 0 and 100, exclusive; write one of: {collected}",
                )
            elif PERCENTILE.match(value):
                yield f"{where}.{place}[{i}]", f"{value} is not collected; add {value[1:]} to statistics.percentiles"
            else:
                yield f"{where}.{place}[{i}]", unknown(value, list(plain | percentiles), place[:-1])


def _same_rows(config, table, wanted: list[str], where: str) -> Iterator[tuple[str, str]]:
    """Comparisons of one table that select the same neurons of a language: its rows would count twice."""
    for language in wanted:
        first: list[tuple[dict, str, str]] = []
        for i, comparison in enumerate(table.comparisons):
            method = config.comparisons.get(comparison, {}).get(language)
            if method not in config.methods:
                continue
            selection = _selection(config, method)
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


def _selection(config, method: str) -> dict:
    """All that a method's neurons depend on, in any order of its languages; the method itself where it has none."""
    languages = sorted(languages_of(config, method))
    return method_settings(config.methods[method], config, languages) if languages else {"method": method}


def _method_table_checks(config, name: str, table: MethodTable) -> Iterator[tuple[str, str]]:
    needed = {"split_half": "COUNTS", "relevance_spread": "SPREAD"}.get(table.kind)
    for i, key in enumerate(table.methods):
        where = f"tables.{name}.methods[{i}]"
        if key not in config.methods:
            yield where, unknown(key, list(config.methods), "method")
        elif needed and not getattr(method_of(config.methods[key]), needed):
            kinds = " or ".join(kind for kind in entries("methods") if getattr(entry("methods", kind), needed))
            kind = config.methods[key].kind
            yield where, f"method '{key}' is of kind {kind}; {table.kind} takes methods of kind {kinds}"
    if table.kind == "split_half" and name in config.run.tables and config.corpus.shards < 2:
        yield (
            f"tables.{name}",
            f"one shard has no halves; write corpus.shards: 2 or more, or take {name} out of run.tables",
        )


def _comparison_checks(config, table, wanted: list[str], comparison: str, where: str) -> Iterator[tuple[str, str]]:
    members = config.comparisons[comparison]
    if table.kind == "random_controls":
        matched = {key: method_of(method).matched_to(method) for key, method in config.methods.items()}
        if any(matched.get(method) is not None for method in members.values()):
            yield where, f"comparison '{comparison}' is itself random; name one that is not"
        elif comparison not in matched.values():
            yield where, f"no method of kind random is like '{comparison}'; add one to methods"
    source = getattr(config.tasks, table.task).source_language
    for language in wanted:
        if language not in members:
            yield where, f"comparison '{comparison}' names no method for '{language}'; add it to comparisons"
        elif table.kind == "finetuning" and any(n != "target" for n in table.neurons):
            method = members[language]
            known = languages_of(config, method) if method in config.methods else []
            if known and source not in known:
                yield where, f"'{method}' has no neurons of the source '{source}'; write neurons: [target]"
