"""Download a model snapshot at its pinned revision."""

import json

from langneurons.runner.jobs import job

with job(snakemake, network=True):
    from langneurons.models.sources import download_snapshot

    p, output = snakemake.params, snakemake.output
    needs = json.loads(snakemake.resources.needs)
    download_snapshot(p.repository, p.revision, output.snapshot, output.manifest, needs, snakemake.wildcards.model)
