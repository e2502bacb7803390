"""Draw the matrix of perplexity changes."""

from langneurons.jobs import job

with job(snakemake.log[0]):
    from langneurons.publishing import figures

    p = snakemake.params
    title = f"{p.title}, {snakemake.wildcards.method}"
    chart = figures.perplexity_change(snakemake.input[0], title, p.width, p.height)
    for path in snakemake.output:
        figures.save_chart(chart, path)
