"""Train a tiny model and its tokenizer on the run's own corpus."""

from langneurons.runner.jobs import fix_threads, job

with job(snakemake):
    from langneurons.demo.pretraining import make_model

    fix_threads(snakemake.threads)
    p, model = snakemake.params, snakemake.wildcards.model
    make_model(list(snakemake.input), snakemake.output[0], p.model, p.heldout_fraction, p.seed, model)
