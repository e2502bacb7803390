"""Conditions, and which of them a table needs. Pure functions of the configuration."""

from __future__ import annotations

from dataclasses import dataclass

from langneurons.config import Config
from langneurons.sections import ConditionTable


@dataclass(frozen=True, order=True)
class Condition:
    """One evaluation: everything that a metric file's path says.

    ``finetuning`` is ``base`` or ``languages@method`` (``en+vi@lape-set1``); ``intervention`` is ``none``
    or ``value@method`` (``p90@lape-set1``).
    """

    model: str
    task: str
    finetuning: str
    language: str
    intervention: str


@dataclass(frozen=True)
class Row:
    """A printed row of a table: its labels and the condition of each column."""

    model: str
    comparison: str
    neurons: str
    language: str
    cells: dict[str, Condition]


def split_finetuning(finetuning: str) -> tuple[tuple[str, ...], str | None]:
    """``en+vi@lape-set1`` -> (("en", "vi"), "lape-set1"); ``base`` -> ((), None)."""
    if finetuning == "base":
        return (), None
    languages, method = finetuning.split("@")
    return tuple(languages.split("+")), method


def split_intervention(intervention: str) -> tuple[str, str | None]:
    """``p90@lape-set1`` -> ("p90", "lape-set1"); ``none`` -> ("none", None)."""
    value, _, method = intervention.partition("@")
    return value, method or None


def method_languages(config: Config, method: str) -> list[str]:
    """Languages that ``method`` gives neurons of, in the configuration's order."""
    spec = config.methods[method]
    if spec.kind == "lape":
        return list(config.language_sets[spec.set])
    if spec.kind == "activation_probability":
        return list(spec.languages)
    return list(config.comparisons[spec.like])


def random_references(config: Config, method: str) -> dict[str, str]:
    """For a random method: the method whose neuron numbers each language copies."""
    return dict(config.comparisons[config.methods[method].like])


def statistics_languages(config: Config, method: str) -> list[str]:
    """Languages whose statistics identification by ``method`` reads (none for random)."""
    return [] if config.methods[method].kind == "random" else method_languages(config, method)


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


def table_conditions(config: Config, name: str) -> list[Condition]:
    """Every condition that table ``name`` prints, and its models' source-language baseline."""
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
