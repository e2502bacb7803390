"""Statistics of each neuron from a language's counts."""

from langneurons.runner.jobs import job

with job(snakemake.log[0]):
    from langneurons.activations.statistics import summarize
    from langneurons.activations.statistics_file import write_statistics
    from langneurons.activations.storage import read_counts

    p, wildcards = snakemake.params, snakemake.wildcards
    own = {"model_key": wildcards.model, "language": wildcards.language}
    counts, metadata = read_counts(snakemake.input[0], own | {"shards": list(p.shards)})
    table = summarize(counts, p.percentiles, p.site, metadata["activation"], p.estimate)
    own |= {"model": metadata["model"], "site": p.site, "estimate": p.estimate, "tokens": counts.tokens}
    own |= {"percentiles": list(p.percentiles), "dtype": counts.dtype}
    write_statistics(snakemake.output[0], table, own)
