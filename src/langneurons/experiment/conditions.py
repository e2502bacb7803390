"""Which conditions a table needs. Pure functions of the configuration."""

from __future__ import annotations

from langneurons.config.load import Config
from langneurons.experiment.condition import Condition
from langneurons.experiment.identification import random_controls
from langneurons.sections import ConditionTable
from langneurons.tables.rows import ControlRow, Row


def table_rows(config: Config, name: str) -> list[Row]:
    """Rows of table ``name``, in print order."""
    table = config.tables[name]
    task = getattr(config.tasks, table.task)
    rows = []
    for model in table.models or config.run.models:
        for comparison in table.comparisons:
            for language in table.languages or task.languages:
                method = config.comparisons[comparison][language]
                for neurons, finetuning in _finetunings(table, task.source_language, language, method):
                    cells = {
                        value: Condition(
                            model, table.task, finetuning, language, value if value == "none" else f"{value}@{method}"
                        )
                        for value in table.interventions
                    }
                    rows.append(Row(model, comparison, neurons, language, cells))
    return rows


def _finetunings(table: ConditionTable, source: str, target: str, method: str) -> list[tuple[str, str]]:
    """(label, fine-tuning) of each neuron set that the table fine-tunes."""
    if table.kind == "interventions":
        return [("", "base")]
    labels = {"source": source, "target": target, "source+target": f"{source}+{target}"}
    return [(labels[which], f"{labels[which]}@{method}") for which in table.neurons]


def control_rows(config: Config, name: str) -> list[ControlRow]:
    """Rows of table ``name`` of kind random_controls, in print order."""
    table = config.tables[name]
    rows = []
    for model in table.models or config.run.models:
        for comparison in table.comparisons:
            for language in table.languages or getattr(config.tasks, table.task).languages:

                def condition(intervention: str, model=model, language=language) -> Condition:
                    return Condition(model, table.task, "base", language, intervention)

                method, controls = config.comparisons[comparison][language], random_controls(config, comparison)
                for value in table.interventions:
                    own, none = condition(f"{value}@{method}"), condition("none")
                    random = tuple(condition(f"{value}@{control}") for control in controls)
                    rows.append(ControlRow(model, comparison, language, value, none, own, random))
    return rows


def table_conditions(config: Config, name: str) -> list[Condition]:
    """Every condition that table ``name`` reads, its models' source-language baseline too; none of some kinds."""
    if config.tables[name].kind == "random_controls":
        rows = control_rows(config, name)
        return sorted({c for row in rows for c in (row.none, row.own, *row.random)})
    if not isinstance(config.tables[name], ConditionTable):
        return []
    rows = table_rows(config, name)
    wanted = {cell for row in rows for cell in row.cells.values()}
    return sorted(wanted | set(baselines(config, name)))


def baselines(config: Config, name: str) -> list[Condition]:
    """The source language without intervention: what a transfer is measured against (base tables only)."""
    table = config.tables[name]
    if table.kind != "interventions":
        return []
    source = getattr(config.tasks, table.task).source_language
    return [Condition(m, table.task, "base", source, "none") for m in table.models or config.run.models]
