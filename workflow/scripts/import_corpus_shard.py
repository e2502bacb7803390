"""Take one shard of a language's text from the user's file."""

from langneurons.jobs import job

with job(snakemake.log[0]):
    from langneurons.corpus.documents import write_documents
    from langneurons.corpus.sources import file_shard

    documents = file_shard(
        snakemake.input[0], int(snakemake.wildcards.shard), snakemake.params.shards, snakemake.params.seed
    )
    write_documents(snakemake.output[0], documents)
