"""Download a model snapshot at its pinned revision."""

from langneurons.jobs import job

with job(snakemake.log[0], network=True):
    from langneurons.models.sources import download_snapshot

    download_snapshot(snakemake.params.repository, snakemake.params.revision, snakemake.output[0])
