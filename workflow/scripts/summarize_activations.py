"""Statistics of each neuron from a language's counts."""

from langneurons.jobs import job

with job(snakemake.log[0]):
    import pyarrow.parquet as pq

    from langneurons.activations.statistics import summarize
    from langneurons.activations.storage import read_counts
    from langneurons.files import write_atomically

    p = snakemake.params
    counts, metadata = read_counts(snakemake.input[0])
    table = summarize(counts, p.percentiles, p.site, metadata["activation"], p.estimate)
    with write_atomically(snakemake.output[0]) as partial:
        pq.write_table(table, partial, compression="zstd")
