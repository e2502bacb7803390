# Tables and figures.

from dataclasses import asdict

from langneurons.conditions import baselines, table_rows


def table_input(wildcards):
    table = settings.tables[wildcards.table]
    if table.kind == "statistics":
        models = table.models or settings.run.models
        return {"statistics": [paths.statistics(m, language) for m in models for language in table.languages]}
    return {"metrics": [paths.metrics(c) for c in table_conditions(settings, wildcards.table)]}


rule render_table:
    input:
        unpack(table_input),
    output:
        tsv=paths.table(ending="tsv"),
        md=paths.table(ending="md"),
        tex=paths.table(ending="tex"),
    params:
        table=lambda wildcards: table_params(wildcards.table),
    log:
        paths.log("render_table", "{table}"),
    message:
        "Table {wildcards.table}"
    script:
        "../scripts/render_table.py"


def table_params(name):
    """What a table's layout depends on: its own section, its rows, its models' titles, its task's metric."""
    table = settings.tables[name]
    chosen = table.model_dump()
    models = table.models or settings.run.models
    chosen["titles"] = {m: settings.models[m].title for m in models}
    if table.kind != "statistics":
        chosen["rows"] = [asdict(row) for row in table_rows(settings, name)]
        chosen["baselines"] = [asdict(c) for c in baselines(settings, name)]
        chosen["metric"] = getattr(getattr(settings.tasks, table.task), "metric", None)
    return chosen


rule draw_neurons:
    input:
        paths.neurons(),
    output:
        svg=paths.figure("{figure}", ending="svg"),
        html=paths.figure("{figure}", ending="html"),
    params:
        title=model_setting("title"),
        width=settings.figures.width,
        height=settings.figures.height,
    wildcard_constraints:
        figure="neuron_counts|neuron_overlap|neuron_layers",
    log:
        paths.log("draw_neurons", "{figure}.{model}.{method}"),
    message:
        "Figure {wildcards.figure} of {wildcards.model} by {wildcards.method}"
    script:
        "../scripts/draw_neurons.py"


rule draw_perplexity:
    input:
        paths.perplexity(),
    output:
        svg=paths.figure("perplexity_change", ending="svg"),
        html=paths.figure("perplexity_change", ending="html"),
    params:
        title=model_setting("title"),
        width=settings.figures.width,
        height=settings.figures.height,
    log:
        paths.log("draw_perplexity", "{model}.{method}"),
    message:
        "Perplexity change of {wildcards.model} by {wildcards.method}"
    script:
        "../scripts/draw_perplexity.py"


localrules:
    render_table,
    draw_neurons,
    draw_perplexity,
