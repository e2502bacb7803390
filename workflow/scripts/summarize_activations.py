"""One statistic of each neuron from a language's counts."""

from langneurons.runner.jobs import job

with job(snakemake):
    from langneurons.activations.statistics import summarize
    from langneurons.activations.statistics_file import write_statistic
    from langneurons.activations.storage import read_counts

    p, wildcards = snakemake.params, snakemake.wildcards
    own = {"model_key": wildcards.model, "language": wildcards.language}
    counts, metadata = read_counts(snakemake.input[0], own | {"shards": list(p.shards)})
    table = summarize(counts, wildcards.statistic, activation=metadata["activation"], **p.statistic)
    own |= {"model": metadata["model"], "statistic": wildcards.statistic, **p.statistic}
    write_statistic(snakemake.output[0], table, own | {"tokens": counts.tokens, "dtype": counts.dtype})
