"""Write one split of a task about the miniature world."""

from langneurons.runner.jobs import job

with job(snakemake):
    from langneurons.demo.world import WRITERS
    from langneurons.registry import entry
    from langneurons.tasks.files import write_task

    p, wildcards = snakemake.params, snakemake.wildcards
    write_example = WRITERS[entry("tasks", p.kind).DEMO]
    examples = [write_example(wildcards.language, p.seed, wildcards.split, i) for i in range(p.examples)]
    columns = {name: [example[name] for example in examples] for name in examples[0]}
    write_task(snakemake.output[0], p.kind, columns, dict(wildcards))
