"""Take one split of a task from the user's file."""

from langneurons.runner.jobs import job

with job(snakemake.log[0]):
    from langneurons.tasks.sources import import_xnli, import_xquad

    p, inputs, facts = snakemake.params, snakemake.input, dict(snakemake.wildcards)
    source, target = inputs.source, snakemake.output[0]
    if snakemake.wildcards.task == "xnli":
        fraction = p.train_fraction if snakemake.wildcards.split == "train" else 1.0
        import_xnli(source, target, snakemake.wildcards.language, fraction, facts=facts)
    else:
        known = {name: inputs.get(name) for name in ("train", "source_test")}
        import_xquad(source, target, p.part, p.train_fraction, facts=facts, **known)
