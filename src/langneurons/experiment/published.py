"""What the tables, the figures and the report of a run are made of."""

from __future__ import annotations

from typing import Any

from langneurons.config.faults import listed
from langneurons.config.load import Config, ConfigError
from langneurons.config.needed import drawn_methods
from langneurons.config.table_checks import table_context
from langneurons.experiment.comparison import Compared
from langneurons.experiment.condition import BASE
from langneurons.experiment.finetunings import trained
from langneurons.experiment.paths import paths_of
from langneurons.registry import entry
from langneurons.sections import TaskTable
from langneurons.tables import reference
from langneurons.tables.common import condition_inputs, models_of, notes_of, titles_of
from langneurons.tables.verdicts import significance_params
from langneurons.tasks.base import scoring_of

NEURON_FIGURES = ("neuron_counts", "neuron_overlap", "neuron_layers")
PERPLEXITY_FIGURES = ("perplexity_change", "bits_per_byte_change")
FIGURE_KINDS = NEURON_FIGURES + PERPLEXITY_FIGURES


def all_tables(config: Config) -> list[str]:
    """Every table that can be asked for by name: of one that was left out, ``table_input`` says why."""
    return [*config.tables, *(entry[1] for entry in config.left_out if entry[0] == "tables")]


def compared_tables(config: Config) -> list[str]:
    """Tables that can be set beside the paper's: of its name, with a model of its, fine-tuned as its are."""
    known = [name for name in reference.TABLES if name in config.tables and config.run.compare_with_paper]
    known = [name for name in known if getattr(config.tables[name], "finetuning", BASE) == BASE]
    return [name for name in known if {*table_models(config, name)} & {*reference.MODELS.values()}]


def table_files(config: Config) -> list[str]:
    """Every file of the run's tables, those beside the paper's too."""
    paths = paths_of(config)
    files = [paths.table(name, ending) for name in config.run.tables for ending in ("tsv", "md", "tex")]
    compared = [name for name in config.run.tables if name in compared_tables(config)]
    return files + [paths.beside_paper(name, ending) for name in compared for ending in ("tsv", "md")]


def table_models(config: Config, table: str) -> list[str]:
    """Models of a table, in order."""
    return models_of(config.tables[table], table_context(config))


def table_titles(config: Config, table: str) -> dict[str, str]:
    """Model -> its title, of a table's models."""
    return titles_of(config.tables[table], table_context(config))


def table_entries(config: Config, table: str) -> list[tuple[str, str]]:
    """The registry's entries that a table's jobs use."""
    return [("tables", config.tables[table].kind)]


def table_meaning(config: Config, table: str) -> str:
    """What the report says above a table."""
    return entry("tables", config.tables[table].kind).MEANING


def table_input(config: Config, table: str) -> dict[str, list[str]]:
    """The files that a table is made of, by what they are. ConfigError for one that other keys contradict."""
    if faults := config.left_out.get(("tables", table)):
        raise ConfigError(listed(faults))
    section = config.tables[table]
    return entry("tables", section.kind).inputs(section, table_context(config))


def table_params(config: Config, table: str) -> dict[str, Any]:
    """What a table's layout depends on; of a table with verdicts also how many comparisons they are corrected for."""
    section = config.tables[table]
    params = entry("tables", section.kind).params(section, table_context(config))
    if asked := {one.question for one in table_comparisons(config, table)}:
        params["families"] = {q: len(found) for q, found in questions(config, table).items() if q in asked}
    return params


def table_comparisons(config: Config, table: str) -> list[Compared]:
    """What a table compares; nothing where other keys contradict it."""
    if ("tables", table) in config.left_out:
        return []
    section = config.tables[table]
    return entry("tables", section.kind).comparisons(section, table_context(config))


def questions(config: Config, asked: str | None = None) -> dict[str, list[Compared]]:
    """Question -> the distinct comparisons that answer it: of the run's tables, and of one that is ``asked`` for."""
    found: dict[str, set[Compared]] = {}
    for table in dict.fromkeys([*config.run.tables, *([asked] if asked else [])]):
        for one in table_comparisons(config, table):
            found.setdefault(one.question, set()).add(one)
    return {question: sorted(found[question]) for question in sorted(found)}


def question_input(config: Config, question: str) -> dict[str, list[str]]:
    """The files that the comparisons of a question are made of."""
    compared = questions(config)[question]
    return condition_inputs(
        sorted({c for one in compared for c in (one.condition, *one.references)}), table_context(config)
    )


def question_params(config: Config, question: str) -> dict[str, Any]:
    """What the comparisons of a question depend on beside their files."""
    compared = questions(config)[question]
    task = compared[0].condition.task
    return {
        "compared": [one.plain() for one in compared],
        "scoring": scoring_of(config.tasks[task]).plain(),
        "significance": significance_params(task, config),
        "families": {question: len(compared)},
        "titles": {model: config.models[model].title for model in sorted({one.condition.model for one in compared})},
    }


def report_questions(config: Config) -> dict[str, tuple[str, dict[str, Any], float | None]]:
    """Question -> its kind, how its task is scored, and the task's margin."""
    return {
        question: (
            compared[0].kind,
            scoring_of(config.tasks[compared[0].condition.task]).plain(),
            config.tasks[compared[0].condition.task].margin,
        )
        for question, compared in questions(config).items()
    }


def comparison_params(config: Config, table: str) -> dict[str, Any]:
    """How a table is printed beside the paper's: caption, decimals, and its task's notes on its metrics."""
    section, context = config.tables[table], table_context(config)
    kind = entry("tables", section.kind)
    notes = notes_of(section, context, beside_paper=True) if isinstance(section, TaskTable) else []
    return {"caption": kind.caption(kind.params(section, context)), "decimals": kind.DECIMALS, "notes": notes}


def figure_files(config: Config) -> list[str]:
    """Every file of the run's figures."""
    files, paths, endings = [], paths_of(config), ("svg", "pdf", "html")
    for model, method in drawn_pairs(config):
        files += [paths.figure(kind, model, method, ending) for kind in FIGURE_KINDS for ending in endings]
    for model, task in sorted(trained(config)):
        files += [paths.curve_figure(model, task, ending) for ending in endings]
    return files


def drawn_pairs(config: Config) -> list[tuple[str, str]]:
    """Model and method of each figure of neurons and perplexity, in order."""
    return [(model, method) for model in config.run.models for method in drawn_methods(config)]


def report_tables(config: Config) -> dict[str, tuple[str | None, dict[str, Any] | None]]:
    """Name -> kind of every table of the run, and how its task is scored, where it is of one.

    Each of the paper's is followed by ours beside it, which has neither.
    """
    found: dict[str, tuple[str | None, dict[str, Any] | None]] = {}
    for name in config.run.tables:
        section = config.tables[name]
        scoring = scoring_of(config.tasks[section.task]).plain() if isinstance(section, TaskTable) else None
        found[name] = section.kind, scoring
        if name in compared_tables(config):
            found[f"{name}_vs_paper"] = None, None
    return found


def report_entries(config: Config) -> list[tuple[str, str]]:
    """The registry's entries that the report uses."""
    return [("tables", kind) for kind in dict.fromkeys(kind for kind, _ in report_tables(config).values()) if kind]
