"""Draw the matrix of perplexity changes in bits per byte."""

from langneurons.jobs import job

with job(snakemake.log[0]):
    from langneurons.publishing.figures import save_chart
    from langneurons.publishing.perplexity_figures import bits_per_byte_change

    p = snakemake.params
    title = f"{p.title}, {snakemake.wildcards.method}"
    chart = bits_per_byte_change(snakemake.input[0], title, p.width, p.height)
    for path in snakemake.output:
        save_chart(chart, path)
