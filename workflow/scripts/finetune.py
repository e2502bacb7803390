"""Fine-tune one adapter."""

from dataclasses import replace

from langneurons.runner.jobs import fix_threads, job

with job(snakemake):
    from langneurons.experiment.paths import checkpoints_of, task_facts
    from langneurons.finetuning.finetune import Base, Mask, Outputs, TaskData, finetune
    from langneurons.models.loading import open_snapshot

    fix_threads(snakemake.threads)
    p, wildcards, inputs = snakemake.params, snakemake.wildcards, snakemake.input
    open_snapshot(inputs.model, wildcards.model)
    task = wildcards.task
    base = Base(inputs.model, wildcards.model, p.quantization, p.dtype, p.repository, p.revision, p.attention_targets)
    data = TaskData(task, p.kind, p.task, inputs.train, {"task": task, **task_facts(inputs.train)})
    if validation := inputs.get("validation"):
        data = replace(data, validation=validation, validation_facts={"task": task, **task_facts(validation)})
    curve = finetune(
        base,
        data,
        wildcards.finetuning,
        Mask(inputs.get("masks"), p.method) if inputs.get("masks") else None,
        p.finetuning,
        Outputs(snakemake.output.adapter, snakemake.output.curve, checkpoints_of(snakemake.output.adapter)),
        p.seed,
        bool(snakemake.resources.gradient_checkpointing),
    )
    for step in curve[:: max(1, len(curve) // 50)]:
        print("step {step}: loss {loss:.4f}, learning rate {learning_rate:.3g}".format(**step))
