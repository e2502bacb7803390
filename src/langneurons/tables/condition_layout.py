"""What the two kinds of tables of conditions share: rows of interventions, and how they are read and printed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from langneurons.evaluation.scoring import Scoring
from langneurons.experiment.comparison import INTERVENTION, Compared
from langneurons.experiment.condition import BASE, NONE, Condition, spell_intervention
from langneurons.sections.tables import TaskTable
from langneurons.tables import captions
from langneurons.tables.base import Context, Text
from langneurons.tables.checks import intervention_checks, task_checks
from langneurons.tables.common import common_params, models_of, notes_of, targets_of, task_of
from langneurons.tables.rows import Row
from langneurons.tables.verdicts import significance_params
from langneurons.tasks.base import scoring_of

if TYPE_CHECKING:
    import pandas

DECIMALS = 1


def checks(name: str, section: TaskTable, context: Context) -> Iterator[tuple[str, str]]:
    """Faults of the languages, method_groups and interventions."""
    yield from task_checks(name, section, context)
    yield from intervention_checks(section.interventions, f"tables.{name}", context)


def rows_of(
    section: TaskTable, context: Context, finetunings: Callable[[str, str, str], list[tuple[str, str]]]
) -> list[Row]:
    """Rows of a table, in print order.

    ``finetunings(source, target, method)``: (label, fine-tuning) of each row of a model, group and language.
    """
    source, rows = task_of(section, context).source_language, []
    for model in models_of(section, context):
        for group in section.method_groups:
            for language in targets_of(section, context):
                method = context.config.method_groups[group][language]
                for neurons, finetuning in finetunings(source, language, method):
                    cells = {
                        value: Condition(model, section.task, finetuning, language, spell_intervention(value, method))
                        for value in section.interventions
                    }
                    rows.append(Row(model, group, neurons, language, cells))
    return rows


def comparisons(rows: list[Row]) -> list[Compared]:
    """Every intervention of a row against none, where the row has both."""
    return sorted(
        {
            Compared(INTERVENTION, cell, (row.cells[NONE],))
            for row in rows
            for cell in row.cells.values()
            if NONE in row.cells and cell != row.cells[NONE]
        }
    )


def params(section: TaskTable, context: Context, rows: list[Row], baselines: list[Condition]) -> dict[str, Any]:
    """What the layout depends on: the section, its rows, how the task is scored, and what intervals are drawn with."""
    chosen = common_params(section, context)
    chosen["rows"] = [asdict(row) for row in rows]
    chosen["baselines"] = [asdict(c) for c in baselines]
    chosen["compared"] = [one.plain() for one in comparisons(rows)]
    scoring = scoring_of(task_of(section, context))
    chosen["scoring"], chosen["notes"] = scoring.plain(), notes_of(section, context)
    chosen["significance"] = significance_params(section.task, context.config)
    return chosen


def frame(params: Mapping[str, Any], inputs: Any, finetuning: bool) -> pandas.DataFrame:
    """The measured conditions with their intervals and verdicts: ``condition_tables.condition_table``."""
    from langneurons.experiment.paths import condition_of
    from langneurons.tables.condition_tables import condition_table, read_metrics
    from langneurons.tables.uncertainty import with_uncertainty

    scoring = Scoring.of(params["scoring"])
    metrics = read_metrics({condition_of(path): path for path in inputs.metrics}, scoring.metrics)
    compared = [Compared.of(plain) for plain in params["compared"]]
    metrics = with_uncertainty(metrics, inputs.predictions, compared, params)
    rows = [Row(**row | {"cells": {k: Condition(**c) for k, c in row["cells"].items()}}) for row in params["rows"]]
    baselines = [Condition(**c) for c in params["baselines"]]
    return condition_table(
        rows,
        metrics,
        columns=scoring.columns,
        titles=params["titles"],
        finetuning=finetuning,
        baselines=baselines,
    )


def caption(params: Mapping[str, Any]) -> str:
    """The task's metric and what the kind shows."""
    return captions.caption(Scoring.of(params["scoring"]), params["kind"], params.get("finetuning", BASE))


def text(params: Mapping[str, Any], frame: pandas.DataFrame) -> Text:
    """The table as printed, with notes on its metric and on what its numbers can bear."""
    from langneurons.tables.condition_tables import condition_text

    said = captions.uncertainty(Scoring.of(params["scoring"]), frame, params)
    return condition_text(frame, DECIMALS, caption(params), [*params["notes"], *said])


def findings(rows: list[dict[str, str]], scoring: Scoring) -> None:
    """Nothing: what its conditions say stands in the answer, from ``comparisons/``."""
    return None
