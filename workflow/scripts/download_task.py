"""Download one split of a task and bring it to the workflow's columns."""

from langneurons.jobs import job

with job(snakemake.log[0], network=True):
    from langneurons.tasks.hub import download_task
    from langneurons.tasks.sources import import_xnli, import_xquad

    p, wildcards = snakemake.params, snakemake.wildcards
    hub = p.hub
    source = download_task(hub["dataset"], hub["repository"], hub["revision"], wildcards.language, wildcards.split)
    if p.task == "xnli":
        fraction = p.train_fraction if wildcards.split == "train" else 1.0
        import_xnli(source, snakemake.output[0], wildcards.language, fraction)
    else:
        import_xquad(source, snakemake.output[0], p.part, p.train_fraction)
