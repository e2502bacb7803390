"""Take a model snapshot from the user's directory."""

from langneurons.jobs import job

with job(snakemake.log[0]):
    from langneurons.models.sources import import_snapshot

    import_snapshot(snakemake.input[0], snakemake.output[0])
