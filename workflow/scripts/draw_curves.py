"""Draw the training curves of a model on a task."""

from langneurons.runner.jobs import job

with job(snakemake):
    from langneurons.figures.curves import finetuning_curves
    from langneurons.figures.neurons import save_chart

    p, expected = snakemake.params, dict(snakemake.wildcards)
    chart = finetuning_curves(list(snakemake.input), p.title, p.width, p.height, expected)
    for path in snakemake.output:
        save_chart(chart, path)
