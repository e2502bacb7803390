"""Write one split of a task about the miniature world."""

from langneurons.runner.jobs import job

with job(snakemake.log[0]):
    from langneurons.demo import world
    from langneurons.tasks.files import write_task

    write_example = {"xnli": world.write_inference, "xquad": world.write_question}[snakemake.params.task]
    language, split, seed = snakemake.wildcards.language, snakemake.wildcards.split, snakemake.params.seed
    examples = [write_example(language, seed, split, i) for i in range(snakemake.params.examples)]
    columns = {name: [example[name] for example in examples] for name in examples[0]}
    write_task(snakemake.output[0], snakemake.params.task, columns, {"language": language, "split": split})
