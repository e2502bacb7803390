"""Write one split of a task about the miniature world."""

from langneurons.runner.jobs import job

with job(snakemake.log[0]):
    from langneurons.demo import world
    from langneurons.tasks.files import write_task

    wildcards, seed = snakemake.wildcards, snakemake.params.seed
    task, language, split = wildcards.task, wildcards.language, wildcards.split
    write_example = {"xnli": world.write_inference, "xquad": world.write_question}[task]
    examples = [write_example(language, seed, split, i) for i in range(snakemake.params.examples)]
    columns = {name: [example[name] for example in examples] for name in examples[0]}
    write_task(snakemake.output[0], task, columns, {"language": language, "split": split})
