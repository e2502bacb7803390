"""Download one shard of a language's Wikipedia."""

from langneurons.jobs import job

with job(snakemake.log[0], network=True):
    from langneurons.corpus.documents import write_documents
    from langneurons.corpus.sources import wikipedia_shard

    p = snakemake.params
    documents = wikipedia_shard(
        snakemake.wildcards.language,
        int(snakemake.wildcards.shard),
        p.shards,
        p.repository,
        p.revision,
        p.snapshot,
        p.seed,
    )
    write_documents(snakemake.output[0], documents)
