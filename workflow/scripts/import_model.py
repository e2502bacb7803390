"""Take a model snapshot from the user's directory."""

import json
import os

from langneurons.runner.jobs import job

with job(snakemake):
    from langneurons.models.sources import import_snapshot

    first = snakemake.input[0]  # of the snapshot's files; the directory itself where it holds none
    source = first if os.path.isdir(first) else os.path.dirname(first)
    import_snapshot(source, snakemake.output[0], json.loads(snakemake.resources.needs), snakemake.wildcards.model)
