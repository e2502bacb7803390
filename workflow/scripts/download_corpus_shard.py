"""Download one shard of a language's Wikipedia."""

from langneurons.runner.jobs import job

with job(snakemake.log[0], network=True):
    from langneurons.corpus.quality import Sieve
    from langneurons.corpus.sources import download_wikipedia_shard
    from langneurons.hub.downloads import Repository

    p, wildcards, output = snakemake.params, snakemake.wildcards, snakemake.output
    download_wikipedia_shard(
        Repository("dataset", p.repository, p.revision),
        p.snapshot,
        wildcards.language,
        int(wildcards.shard),
        p.shards,
        p.characters,
        p.seed,
        Sieve(wildcards.language, p.min_characters, p.min_own_script),
        output.text,
        output.quality,
        output.manifest,
    )
