"""Tables: one-row metric files and statistics gathered into data frames, and how they are printed.

pandas and pyarrow are imported inside the functions, so that importing this module stays light.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from langneurons.artifacts.tsv import read_tsv
from langneurons.experiment.condition import Condition, split_finetuning, split_intervention
from langneurons.tables.base import Text
from langneurons.tables.formats import MARK, printed
from langneurons.tables.rows import Row

if TYPE_CHECKING:
    import pandas

CONDITION = ("model", "task", "finetuning", "language", "intervention")
COUNTS = ("neurons", "examples", "dropped")
UNCERTAIN = ("_low", "_high", "_effect", "_effect_low", "_effect_high", "_p", "_p_adjusted", "_verdict")
NO_NEURON = "no neuron of this language: equal to no intervention"
NO_METHOD = "Rows without a method: the source language without intervention."

Metrics = dict[Condition, dict[str, float | int]]


def read_metrics(
    paths: Iterable[str | os.PathLike] | Mapping[Condition, str | os.PathLike], names: Iterable[str]
) -> Metrics:
    """Read one-row metric files: condition -> neurons, examples, dropped (counts) and metrics in percent, 0 to 100.

    ``paths``: the files, or condition -> its file; ``names``: the task's metrics. Raises ValueError naming the file for
    a file that is not there, is damaged, has not exactly one row, lacks a column, holds no number where one belongs, is
    of another condition than asked for, or repeats the condition of another file.
    """
    metrics: Metrics = {}
    names = list(names)
    origin: dict[Condition, str] = {}
    asked = list(paths.items()) if isinstance(paths, Mapping) else [(None, path) for path in paths]
    for wanted, path in ((condition, os.fspath(path)) for condition, path in asked):
        record = _read_record(path, {} if wanted is None else asdict(wanted), names)
        condition = Condition(*(record[name] for name in CONDITION))
        if condition in metrics:
            raise ValueError(f"{path}: the same condition as {origin[condition]}; keep one of the two files")
        values: dict[str, float | int] = {name: _count(path, name, record[name]) for name in COUNTS}
        values |= {name: _percentage(path, name, record[name]) for name in names}
        metrics[condition], origin[condition] = values, path
    return metrics


def condition_table(
    rows: list[Row],
    metrics: Mapping[Condition, Mapping[str, float | int]],
    columns: Mapping[str, str],
    titles: Mapping[str, str],
    finetuning: bool,
    baselines: list[Condition],
) -> pandas.DataFrame:
    """The measured conditions as a table at full precision (percent), a line per row of ``rows`` in their order.

    Columns: model (its title), model_key, method (name of the method group), method_key, finetuned_neurons (only with
    ``finetuning``), language, neurons (how many the interventions of the row overwrite; missing where none does),
    examples and dropped (how many were evaluated, and how many were too long to be), and for each intervention a column
    per metric (``columns``: its suffix -> the metric). Each of ``baselines`` is a line with method ``""``, first of its
    model; the interventions, which it has not, are ``pandas.NA``. Where ``metrics`` say it
    (``uncertainty.with_uncertainty``), each column is followed by its ``_low`` and ``_high``, an intervention's also by
    ``_effect`` to ``_verdict`` (``UNCERTAIN``).

    Raises ValueError for an unknown model, for conditions without a number (naming them all), and
    for a row whose interventions overwrite different numbers of neurons.
    """
    import pandas as pd

    _refuse_holes([c for row in rows for c in row.cells.values()] + baselines, metrics, columns.values())
    interventions = list(dict.fromkeys(name for row in rows for name in row.cells))
    if baselines and "none" not in interventions:
        interventions.insert(0, "none")
    lines = []
    for model in dict.fromkeys([row.model for row in rows] + [c.model for c in baselines]):
        lines += [Row(model, "", "", c.language, {"none": c}) for c in baselines if c.model == model]
        lines += [row for row in rows if row.model == model]

    table = {
        "model": [_title(titles, row.model) for row in lines],
        "model_key": [row.model for row in lines],
        "method": [row.group for row in lines],
        "method_key": [_method_key(row) for row in lines],
        "finetuned_neurons": [row.neurons for row in lines],
        "language": [row.language for row in lines],
        "neurons": pd.array([_neurons(row, metrics) for row in lines], dtype="Int64"),
        "examples": pd.array([_count_of(row, metrics, "examples") for row in lines], dtype="Int64"),
        "dropped": pd.array([_count_of(row, metrics, "dropped") for row in lines], dtype="Int64"),
    }
    if not finetuning:
        del table["finetuned_neurons"]
    for intervention in interventions:
        for suffix, source in columns.items():
            for ending in ("", *UNCERTAIN):
                found: list[Any] = [_measured(row, intervention, metrics).get(source + ending, pd.NA) for row in lines]
                if not ending or any(value is not pd.NA for value in found):
                    column = intervention + suffix + ending
                    words = ending == "_verdict"
                    table[column] = pd.array(found, dtype="string") if words else pd.array(found, dtype="Float64")
    return pd.DataFrame(table)


def statistics_table(
    statistics: Mapping[tuple[str, str], Mapping[str, str | os.PathLike]],
    columns: list[str],
    titles: Mapping[str, str],
    expected: Mapping[str, Mapping[str, str]] | None = None,
) -> pandas.DataFrame:
    """Mean over all neurons of the model of each statistic (Table 6): model (title), model_key, language, ``columns``.

    ``statistics``: (model, language) -> column -> its Parquet file, a row of the table each, in this order;
    ``expected``: column -> further facts that its files must have (``site``, ``estimate``). Raises ValueError naming
    the file for one that is missing, damaged or of another model, language or statistic, a value that is not finite, or
    no neurons.
    """
    import pandas as pd
    import pyarrow.compute as pc

    from langneurons.activations.statistics_file import read_statistic

    lines = []
    for (model, language), paths in statistics.items():
        facts = {"model_key": model, "language": language}
        means = {}
        for name in columns:
            read = read_statistic(paths[name], name, facts | dict((expected or {}).get(name, {})))
            means[name] = pc.mean(read[name].cast("float64"), skip_nulls=False).as_py()
        lines.append({"model": _title(titles, model), "model_key": model, "language": language, **means})
    return pd.DataFrame(lines, columns=["model", "model_key", "language", *columns])


def condition_text(frame: pandas.DataFrame, decimals: int, caption: str, notes: Iterable[str] = ()) -> Text:
    """A table as printed, ``frame`` as ``condition_table`` or ``statistics_table`` gives it.

    Numbers have ``decimals``; exact match and F1 share a cell as EM (F1); marked are numbers by their ``_verdict``, and
    cells whose intervention had no neuron to act on; a note for the latter precedes ``notes``.
    """
    header, body = printed(frame, decimals)
    notes = list(notes)
    if "method" in frame and (frame["method"] == "").any():
        notes.insert(0, NO_METHOD)
    if any(MARK in cell for line in body for cell in line):
        notes.insert(0, f"{MARK} {NO_NEURON}")
    return Text(header, body, caption, notes)


# Reading


def _read_record(path: str, expected: Mapping[str, str], names: list[str]) -> dict[str, str]:
    """The one row of a metric file, by column."""
    rows = read_tsv(path, CONDITION, expected)
    if len(rows) != 1:
        raise ValueError(f"{path}: must hold a header and exactly one row, holds {len(rows)} rows")
    record = rows[0]
    lacking = [name for name in (*CONDITION, *COUNTS, *names) if name not in record]
    if lacking:
        raise ValueError(f"{path}: no column {', '.join(lacking)}; evaluate this condition again")
    return record


def _count(path: str, name: str, text: str) -> int:
    if not re.fullmatch(r"\d+", text, re.ASCII):
        raise ValueError(f"{path}: {name} is {text!r}; write a whole number, 0 or more")
    return int(text)


def _percentage(path: str, name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 100:
        raise ValueError(f"{path}: {name} is {text!r}; evaluate this condition again for a number from 0 to 100")
    return value


# Gathering


def _refuse_holes(wanted: Iterable[Condition], metrics: Mapping, names: Iterable[str]) -> None:
    lacking = [c for c in dict.fromkeys(wanted) if any(name not in metrics.get(c, {}) for name in names)]
    if lacking:
        said = ", ".join(map(str, lacking))
        raise ValueError(f"{len(lacking)} conditions of the table have no number: {said}; evaluate them first")


def _title(titles: Mapping[str, str], model: str) -> str:
    if model not in titles:
        raise ValueError(f"no title for model {model!r}; titles has {', '.join(titles) or 'none'}")
    return titles[model]


def _method_key(row: Row) -> str:
    """The key of the method whose neurons the row's conditions overwrite, or were fine-tuned with; "" for none."""
    named = (
        method
        for c in row.cells.values()
        for method in (split_intervention(c.intervention)[1], split_finetuning(c.finetuning)[1])
        if method
    )
    return next(named, "")


def _measured(
    row: Row, intervention: str, metrics: Mapping[Condition, Mapping[str, float | int]]
) -> Mapping[str, float | int]:
    """The metrics of a row's cell; none where it has no such cell, or nothing was measured."""
    return metrics.get(row.cells[intervention], {}) if intervention in row.cells else {}


def _neurons(row: Row, metrics: Mapping[Condition, Mapping[str, float | int]]) -> int | None:
    """How many neurons the row's interventions overwrite; None if none was measured."""
    counts = {c: int(metrics[c]["neurons"]) for name, c in row.cells.items() if name != "none" and c in metrics}
    if len(set(counts.values())) > 1:
        said = ", ".join(f"{c.intervention}: {n}" for c, n in counts.items())
        raise ValueError(
            f"{row.model}, {row.group}, {row.language}: interventions overwrite different numbers of neurons "
            f"({said}); evaluate all of them with the same mask"
        )
    return next(iter(counts.values()), None)


def _count_of(row: Row, metrics: Mapping[Condition, Mapping[str, float | int]], name: str) -> int:
    """A count that all of the row's conditions share; ValueError where they do not."""
    counts = {c: int(metrics[c][name]) for c in row.cells.values() if c in metrics}
    if len(set(counts.values())) > 1:
        said = ", ".join(f"{c.intervention}: {n}" for c, n in counts.items())
        raise ValueError(
            f"{row.model}, {row.group}, {row.language}: conditions of one row differ in {name} ({said}); evaluate all "
            "of them again"
        )
    return next(iter(counts.values()))
