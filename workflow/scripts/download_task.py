"""Download one split of a task and bring it to the workflow's columns."""

from langneurons.runner.jobs import job

with job(snakemake, network=True):
    from langneurons.hub.downloads import write_manifest
    from langneurons.tasks.base import HubFile
    from langneurons.tasks.hub import downloaded
    from langneurons.tasks.imports import import_task

    p, target = snakemake.params, snakemake.output.data
    known = {name: (snakemake.input[name], facts) for name, facts in p.known.items()}
    with downloaded(HubFile(**p.hub), target) as (source, fetched):
        rows = import_task(source, target, p.kind, dict(snakemake.wildcards), p.settings, known)
    write_manifest(snakemake.output.manifest, fetched)
    print(f"{rows} examples")
