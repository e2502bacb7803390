# What the tables, the figures and the report of a run are made of: functions of publish, controls and report.

from dataclasses import asdict

from langneurons.experiment.conditions import baselines, control_rows, table_conditions, table_rows
from langneurons.tables import reference

NEURON_FIGURES = ("neuron_counts", "neuron_overlap", "neuron_layers")
PERPLEXITY_FIGURES = ("perplexity_change", "bits_per_byte_change")
FIGURE_KINDS = NEURON_FIGURES + PERPLEXITY_FIGURES
CONTROL_KINDS = ("random_controls", "split_half", "relevance_spread", "perplexity_change")


def compared_tables():
    """Tables that can be set beside the paper's: of its name, and with a model of its."""
    known = [name for name in reference.TABLES if name in settings.tables and settings.run.compare_with_paper]
    return [name for name in known if {*table_models(name)} & {*reference.MODELS.values()}]


def table_files():
    files = [paths.table(name, ending) for name in settings.run.tables for ending in ("tsv", "md", "tex")]
    compared = [name for name in settings.run.tables if name in compared_tables()]
    return files + [paths.comparison(name, ending) for name in compared for ending in ("tsv", "md")]


def table_models(name):
    return settings.tables[name].models or settings.run.models


def table_metric(name):
    """Which of its task's metrics a table prints; None where there is but one."""
    task = getattr(settings.tables[name], "task", None)
    return getattr(getattr(settings.tasks, task), "metric", None) if task else None


def table_input(wildcards):
    table = settings.tables[wildcards.table]
    if table.kind == "statistics":
        models = table_models(wildcards.table)
        return {"statistics": [paths.statistics(m, language) for m in models for language in table.languages]}
    conditions = table_conditions(settings, wildcards.table)
    return {
        "metrics": [paths.metrics(c) for c in conditions],
        "predictions": [paths.predictions(c) for c in conditions],
    }


def table_params(name):
    """What a table's layout depends on: its own section, its rows, its models' titles, its task's metric."""
    table = settings.tables[name]
    chosen = table.model_dump()
    chosen["titles"] = {m: settings.models[m].title for m in table_models(name)}
    if table.kind == "statistics":
        chosen["statistics"] = {"site": settings.statistics.site, "estimate": settings.statistics.estimate}
    else:
        chosen["rows"] = [asdict(row) for row in table_rows(settings, name)]
        chosen["baselines"] = [asdict(c) for c in baselines(settings, name)]
        chosen["metric"] = table_metric(name)
        chosen["significance"] = {"level": settings.significance.level}
        if table.task == "xquad":  # the one that draws
            chosen["significance"] |= {"resamples": settings.significance.resamples, "seed": settings.seed}
    return chosen


def control_pairs(table):
    """Model and method of each part of a table that goes by both."""
    return [(model, method) for model in table.models or settings.run.models for method in table.methods]


def control_input(wildcards):
    table = settings.tables[wildcards.table]
    if table.kind == "random_controls":
        conditions = table_conditions(settings, wildcards.table)
        return {
            "metrics": [paths.metrics(c) for c in conditions],
            "predictions": [paths.predictions(c) for c in conditions],
        }
    pairs = control_pairs(table)
    if table.kind == "split_half":
        return {half: [paths.half_neurons(*pair, half) for pair in pairs] for half in ("even", "odd")}
    file = {"relevance_spread": paths.neurons, "perplexity_change": paths.perplexity}[table.kind]
    return {"files": [file(*pair) for pair in pairs]}


def control_params(wildcards):
    """What a table's layout depends on: its own section, its rows or pairs, its models' titles, its task's metric."""
    table = settings.tables[wildcards.table]
    chosen = table.model_dump()
    chosen["titles"] = {m: settings.models[m].title for m in table_models(wildcards.table)}
    if table.kind == "random_controls":
        chosen["rows"] = [asdict(row) for row in control_rows(settings, wildcards.table)]
        chosen["metric"] = table_metric(wildcards.table)
        chosen["significance"] = settings.significance.model_dump() | {"seed": settings.seed}
    else:
        chosen["pairs"] = control_pairs(table)
    return chosen


def finetunings():
    """(model, task) -> the fine-tunings that the tables of a run need, in order."""
    found = {}
    for name in settings.run.tables:
        if settings.tables[name].kind != "statistics":
            for c in table_conditions(settings, name):
                found.setdefault((c.model, c.task), set()).add(c.finetuning)
    return {key: sorted(names, key=lambda name: (name != "base", name)) for key, names in found.items()}


def drawings(*kinds):
    """The files of figures that one job draws, since it costs more to start a renderer than to draw one."""
    files = {}
    for kind in kinds:
        files |= {f"{kind}_{ending}": paths.figure(kind, ending=ending) for ending in ("pdf", "html")}
        files[f"{kind}_svg"] = report(
            paths.figure(kind),
            caption=f"../report/{kind}.rst",
            category="Figures",
            subcategory=kind,
            labels={"model": "{model}", "method": "{method}"},
        )
    return files


def figure_files():
    files = []
    for model in settings.run.models:
        for method in settings.figures.methods:
            stems = [(kind, model, method) for kind in FIGURE_KINDS]
            files += [paths.figure(*stem, ending) for stem in stems for ending in ("svg", "pdf", "html")]
    for model, task in sorted(finetunings()):
        files += [paths.curve_figure(model, task, ending) for ending in ("svg", "pdf", "html")]
    return files


def report_tables():
    """Name -> kind of every table of the run, each of the paper's followed by ours beside it."""
    found = {}
    for name in settings.run.tables:
        found[name] = settings.tables[name].kind
        if name in compared_tables():
            found[f"{name}_vs_paper"] = "vs_paper"
    return found
