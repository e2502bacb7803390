"""Download one shard of a language's Wikipedia."""

from langneurons.runner.jobs import job

with job(snakemake, network=True):
    from langneurons.corpus.quality import DocumentFilter
    from langneurons.corpus.sources import Wikipedia, download_wikipedia_shard
    from langneurons.hub.downloads import Repository

    p, wildcards, output = snakemake.params, snakemake.wildcards, snakemake.output
    repository = Repository("dataset", p.repository, p.revision)
    download_wikipedia_shard(
        Wikipedia(repository, p.snapshot, wildcards.language, p.name, p.shards, p.characters, p.seed),
        int(wildcards.shard),
        DocumentFilter(wildcards.language, p.min_characters, p.min_own_script),
        output.text,
        output.quality,
        output.manifest,
    )
