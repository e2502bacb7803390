"""Write one shard of the miniature world."""

from langneurons.runner.jobs import job

with job(snakemake):
    from langneurons.corpus.documents import shard_facts, write_documents
    from langneurons.demo import world

    language, shard = snakemake.wildcards.language, int(snakemake.wildcards.shard)
    documents = world.write_documents(language, snakemake.params.seed, shard, snakemake.params.documents)
    write_documents(snakemake.output[0], documents, shard_facts(language, shard))
