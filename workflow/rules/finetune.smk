# LoRA on attention, and on the rows of a mask's neurons.


rule finetune:
    input:
        unpack(finetuning_input),
    output:
        adapter=directory(paths.adapter()),
    log:
        paths.log("finetune", "{model}", "{task}", "{finetuning}"),
    benchmark:
        paths.benchmark("finetune", "{model}", "{task}", "{finetuning}")
    conda:
        "../../environment.yml"
    resources:
        gpu=1,
        mem_mb=model_memory,
        runtime=lambda wildcards, attempt: 720 * attempt,
        checkpoints=lambda wildcards: paths.checkpoints(wildcards.model, wildcards.task, wildcards.finetuning),
    params:
        quantization=model_setting("quantization"),
        dtype=model_setting("dtype"),
        finetuning=lambda wildcards: getattr(settings.finetuning, wildcards.task).model_dump(),
        max_tokens=task_setting("max_tokens"),
        prompt=task_setting("prompt"),
        seed=settings.seed,
    message:
        "Fine-tuning {wildcards.model} on {wildcards.task}: {wildcards.finetuning}"
    script:
        "../scripts/finetune.py"
