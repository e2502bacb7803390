"""Download a model snapshot at its pinned revision."""

from langneurons.jobs import job

with job(snakemake.log[0], network=True):
    from langneurons.models.sources import download_snapshot

    p, output = snakemake.params, snakemake.output
    download_snapshot(p.repository, p.revision, output.snapshot, output.manifest)
