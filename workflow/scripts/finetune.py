"""Fine-tune one adapter."""

import shutil

from langneurons.jobs import fix_threads, job

with job(snakemake.log[0], snakemake.threads):
    from langneurons.finetuning.finetune import finetune

    fix_threads(snakemake.threads)
    p, wildcards = snakemake.params, snakemake.wildcards
    history = finetune(
        snakemake.input.model,
        snakemake.input.train,
        snakemake.output.adapter,
        snakemake.resources.checkpoints,
        name=wildcards.model,
        task=wildcards.task,
        finetuning=wildcards.finetuning,
        mask_path=snakemake.input.get("mask"),
        settings=p.finetuning,
        quantization=p.quantization,
        dtype=p.dtype,
        max_tokens=p.max_tokens,
        prompt=p.prompt,
        seed=p.seed,
    )
    for entry in history[:: max(1, len(history) // 50)]:
        print("step {step}: loss {loss:.4f}, learning rate {learning_rate:.3g}".format(**entry))
    shutil.rmtree(snakemake.resources.checkpoints, ignore_errors=True)
