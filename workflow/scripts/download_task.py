"""Download one split of a task and bring it to the workflow's columns."""

from langneurons.runner.jobs import job

with job(snakemake.log[0], network=True):
    from langneurons.hub.downloads import Repository, write_manifest
    from langneurons.tasks.hub import downloaded_task
    from langneurons.tasks.sources import import_xnli, import_xquad

    p, wildcards, inputs = snakemake.params, snakemake.wildcards, snakemake.input
    facts = dict(wildcards)
    where = Repository("dataset", p.hub["repository"], p.hub["revision"])
    target = snakemake.output.data
    with downloaded_task(p.hub["dataset"], where, wildcards.language, wildcards.split, p.hub["rows"], target) as (
        source,
        fetched,
    ):
        if wildcards.task == "xnli":
            fraction = p.train_fraction if wildcards.split == "train" else 1.0
            import_xnli(source, target, wildcards.language, fraction, facts=facts)
        else:
            known = {name: inputs.get(name) for name in ("train", "source_test")}
            import_xquad(source, target, p.part, p.train_fraction, facts=facts, **known)
    write_manifest(snakemake.output.manifest, fetched)
