"""Fine-tune one adapter."""

from langneurons.runner.jobs import fix_threads, job

with job(snakemake.log[0], snakemake.threads):
    from langneurons.experiment.paths import checkpoints_of, task_facts
    from langneurons.finetuning.finetune import finetune
    from langneurons.models.loading import open_snapshot

    fix_threads(snakemake.threads)
    p, wildcards, inputs = snakemake.params, snakemake.wildcards, snakemake.input
    open_snapshot(inputs.model, wildcards.model)
    curve = finetune(
        inputs.model,
        inputs.train,
        snakemake.output.adapter,
        snakemake.output.curve,
        checkpoints_of(snakemake.output.adapter),
        name=wildcards.model,
        task=wildcards.task,
        finetuning=wildcards.finetuning,
        mask_path=inputs.get("mask"),
        mask_settings=p.method,
        validation_path=inputs.get("validation"),
        train_facts=task_facts(inputs.train),
        validation_facts=task_facts(inputs.validation) if inputs.get("validation") else None,
        settings=p.finetuning,
        quantization=p.quantization,
        dtype=p.dtype,
        max_tokens=p.max_tokens,
        prompt=p.prompt,
        separator=p.separator,
        seed=p.seed,
        repository=p.repository,
        revision=p.revision,
        attention_targets=p.attention_targets,
        gradient_checkpointing=bool(snakemake.resources.gradient_checkpointing),
    )
    for entry in curve[:: max(1, len(curve) // 50)]:
        print("step {step}: loss {loss:.4f}, learning rate {learning_rate:.3g}".format(**entry))
