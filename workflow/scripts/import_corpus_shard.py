"""Take one shard of a language's text from the user's file."""

from langneurons.runner.jobs import job

with job(snakemake):
    from langneurons.corpus.quality import DocumentFilter
    from langneurons.corpus.sources import import_file_shard

    p, wildcards, output = snakemake.params, snakemake.wildcards, snakemake.output
    document_filter = DocumentFilter(wildcards.language, p.min_characters, p.min_own_script)
    shard = int(wildcards.shard)
    import_file_shard(snakemake.input[0], output.text, output.quality, shard, p.shards, p.seed, document_filter)
