"""Add up the counts of a language's shards."""

from langneurons.jobs import job

with job(snakemake.log[0]):
    from langneurons.activations.storage import merge_files

    merge_files(list(snakemake.input), snakemake.output[0])
