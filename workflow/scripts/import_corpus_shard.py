"""Take one shard of a language's text from the user's file."""

from langneurons.runner.jobs import job

with job(snakemake):
    from langneurons.corpus.quality import Sieve
    from langneurons.corpus.sources import import_file_shard

    p, wildcards, output = snakemake.params, snakemake.wildcards, snakemake.output
    sieve = Sieve(wildcards.language, p.min_characters, p.min_own_script)
    shard = int(wildcards.shard)
    import_file_shard(snakemake.input[0], output.text, output.quality, shard, p.shards, p.seed, sieve)
