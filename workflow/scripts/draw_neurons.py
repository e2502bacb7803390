"""Draw one figure of a neuron mask."""

from langneurons.jobs import job

with job(snakemake.log[0]):
    from langneurons.publishing import figures

    p, wildcards = snakemake.params, snakemake.wildcards
    draw = getattr(figures, wildcards.figure)
    chart = draw(snakemake.input[0], f"{p.title}, {wildcards.method}", p.width, p.height)
    for path in snakemake.output:
        figures.save_chart(chart, path)
