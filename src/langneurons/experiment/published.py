"""What the tables, the figures and the report of a run are made of."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from langneurons.config.load import Config
from langneurons.experiment.conditions import baselines, control_rows, table_conditions, table_rows
from langneurons.experiment.finetunings import finetunings
from langneurons.experiment.paths import paths_of
from langneurons.tables import reference

NEURON_FIGURES = ("neuron_counts", "neuron_overlap", "neuron_layers")
PERPLEXITY_FIGURES = ("perplexity_change", "bits_per_byte_change")
FIGURE_KINDS = NEURON_FIGURES + PERPLEXITY_FIGURES
CONTROL_KINDS = ("random_controls", "split_half", "relevance_spread", "perplexity_change")


def compared_tables(config: Config) -> list[str]:
    """Tables that can be set beside the paper's: of its name, and with a model of its."""
    known = [name for name in reference.TABLES if name in config.tables and config.run.compare_with_paper]
    return [name for name in known if {*table_models(config, name)} & {*reference.MODELS.values()}]


def table_files(config: Config) -> list[str]:
    """Every file of the run's tables, those beside the paper's too."""
    paths = paths_of(config)
    files = [paths.table(name, ending) for name in config.run.tables for ending in ("tsv", "md", "tex")]
    compared = [name for name in config.run.tables if name in compared_tables(config)]
    return files + [paths.comparison(name, ending) for name in compared for ending in ("tsv", "md")]


def table_models(config: Config, table: str) -> list[str]:
    """Models of a table, in order."""
    return config.tables[table].models or config.run.models


def table_titles(config: Config, table: str) -> dict[str, str]:
    """Model -> its title, of a table's models."""
    return {model: config.models[model].title for model in table_models(config, table)}


def table_metric(config: Config, table: str) -> str | None:
    """Which of its task's metrics a table prints; None where there is but one."""
    task = table_task(config, table)
    return getattr(getattr(config.tasks, task), "metric", None) if task else None


def table_kind(config: Config, table: str) -> str:
    """A table's kind."""
    return config.tables[table].kind


def table_task(config: Config, table: str) -> str | None:
    """The task of a table; None for a kind without one."""
    return getattr(config.tables[table], "task", None)


def table_input(config: Config, table: str) -> dict[str, list[str]]:
    """The files that a table of conditions or of statistics reads."""
    spec, paths = config.tables[table], paths_of(config)
    if spec.kind == "statistics":
        models = table_models(config, table)
        return {"statistics": [paths.statistics(model, language) for model in models for language in spec.languages]}
    return _condition_files(config, table)


def _condition_files(config: Config, table: str) -> dict[str, list[str]]:
    paths, conditions = paths_of(config), table_conditions(config, table)
    return {
        "metrics": [paths.metrics(c) for c in conditions],
        "predictions": [paths.predictions(c) for c in conditions],
    }


def table_params(config: Config, table: str) -> dict[str, Any]:
    """What a table's layout depends on: its own section, its rows, its models' titles, its task's metric."""
    spec = config.tables[table]
    chosen = spec.model_dump() | {"titles": table_titles(config, table)}
    if spec.kind == "statistics":
        chosen["statistics"] = {"site": config.statistics.site, "estimate": config.statistics.estimate}
    else:
        chosen["rows"] = [asdict(row) for row in table_rows(config, table)]
        chosen["baselines"] = [asdict(c) for c in baselines(config, table)]
        chosen["metric"] = table_metric(config, table)
        chosen["significance"] = {"level": config.significance.level}
        if spec.task == "xquad":  # the one that draws
            chosen["significance"] |= {"resamples": config.significance.resamples, "seed": config.seed}
    return chosen


def control_pairs(config: Config, table: str) -> list[tuple[str, str]]:
    """Model and method of each part of a table that goes by both."""
    return [(model, method) for model in table_models(config, table) for method in config.tables[table].methods]


def control_input(config: Config, table: str) -> dict[str, list[str]]:
    """The files that a table of controls reads."""
    spec, paths = config.tables[table], paths_of(config)
    if spec.kind == "random_controls":
        return _condition_files(config, table)
    pairs = control_pairs(config, table)
    if spec.kind == "split_half":
        return {half: [paths.half_neurons(*pair, half) for pair in pairs] for half in ("even", "odd")}
    file = {"relevance_spread": paths.neurons, "perplexity_change": paths.perplexity}[spec.kind]
    return {"files": [file(*pair) for pair in pairs]}


def control_params(config: Config, table: str) -> dict[str, Any]:
    """What a table's layout depends on: its own section, its rows or pairs, its models' titles, its task's metric."""
    spec = config.tables[table]
    chosen = spec.model_dump() | {"titles": table_titles(config, table)}
    if spec.kind == "random_controls":
        chosen["rows"] = [asdict(row) for row in control_rows(config, table)]
        chosen["metric"] = table_metric(config, table)
        chosen["significance"] = config.significance.model_dump() | {"seed": config.seed}
    else:
        chosen["pairs"] = control_pairs(config, table)
    return chosen


def figure_files(config: Config) -> list[str]:
    """Every file of the run's figures."""
    files, paths, endings = [], paths_of(config), ("svg", "pdf", "html")
    for model in config.run.models:
        for method in config.figures.methods:
            files += [paths.figure(kind, model, method, ending) for kind in FIGURE_KINDS for ending in endings]
    for model, task in sorted(finetunings(config)):
        files += [paths.curve_figure(model, task, ending) for ending in endings]
    return files


def report_tables(config: Config) -> dict[str, str]:
    """Name -> kind of every table of the run, each of the paper's followed by ours beside it."""
    found = {}
    for name in config.run.tables:
        found[name] = config.tables[name].kind
        if name in compared_tables(config):
            found[f"{name}_vs_paper"] = "vs_paper"
    return found
