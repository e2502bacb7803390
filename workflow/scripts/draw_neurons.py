"""Draw the figures of a neuron mask."""

from langneurons.runner.jobs import job

with job(snakemake):
    from langneurons.figures.neurons import neuron_counts, neuron_layers, neuron_overlap, save_chart

    p, outputs = snakemake.params, snakemake.output
    facts = {"model_key": snakemake.wildcards.model, "method": snakemake.wildcards.method}
    title = f"{p.title}, {snakemake.wildcards.method}"
    for draw in (neuron_counts, neuron_overlap, neuron_layers):
        chart = draw(list(snakemake.input), title, p.width, p.height, facts)
        for ending in ("svg", "pdf", "html"):
            save_chart(chart, outputs[f"{draw.__name__}_{ending}"])
