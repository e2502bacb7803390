"""Take one split of a task from the user's file."""

from langneurons.runner.jobs import job

with job(snakemake):
    from langneurons.tasks.imports import import_task

    p, wildcards = snakemake.params, snakemake.wildcards
    known = {name: (snakemake.input[name], facts) for name, facts in p.known.items()}
    rows = import_task(snakemake.input.source, snakemake.output[0], p.kind, dict(wildcards), p.settings, known)
    print(f"{rows} examples")
