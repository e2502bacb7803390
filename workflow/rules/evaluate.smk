# One job, one condition: predictions and one line of metrics.


def evaluation_input(wildcards):
    value, method = split_intervention(wildcards.intervention)
    files = {
        "model": paths.model(wildcards.model),
        "adapter": paths.adapter(wildcards.model, wildcards.task, wildcards.finetuning),
        "test": paths.task(wildcards.task, wildcards.language, "test"),
    }
    if method:
        files["mask"] = paths.neurons(wildcards.model, method)
        files["statistics"] = paths.statistics(wildcards.model, wildcards.language)
    return files


rule evaluate:
    input:
        unpack(evaluation_input),
    output:
        metrics=paths.metrics(),
        predictions=paths.predictions(),
    params:
        quantization=model_setting("quantization"),
        dtype=model_setting("dtype"),
        site=lambda wildcards: None if wildcards.intervention == "none" else settings.interventions.site,
        max_tokens=task_setting("max_tokens"),
        prompt=task_setting("prompt"),
        max_new_tokens=task_setting("max_new_tokens"),
    log:
        paths.log("evaluate", "{model}", "{task}", "{finetuning}", "{language}", "{intervention}"),
    benchmark:
        paths.benchmark("evaluate", "{model}", "{task}", "{finetuning}", "{language}", "{intervention}")
    resources:
        gpu=1,
        mem_mb=gpu_memory,
        runtime=lambda wildcards, attempt: 60 * attempt,
        batch_tokens=settings.evaluation.batch_tokens,
    message:
        "{wildcards.task} in {wildcards.language}: {wildcards.model}, {wildcards.finetuning}, {wildcards.intervention}"
    script:
        "../scripts/evaluate.py"
