"""Draw the matrices of perplexity changes."""

from langneurons.runner.jobs import job

with job(snakemake):
    from langneurons.figures.neurons import save_chart
    from langneurons.figures.perplexity import bits_per_byte_change, perplexity_change

    p, outputs = snakemake.params, snakemake.output
    facts = {"model": snakemake.wildcards.model, "method": snakemake.wildcards.method}
    title = f"{p.title}, {snakemake.wildcards.method}"
    for draw in (perplexity_change, bits_per_byte_change):
        chart = draw(snakemake.input[0], title, p.width, p.height, facts)
        for ending in ("svg", "pdf", "html"):
            save_chart(chart, outputs[f"{draw.__name__}_{ending}"])
