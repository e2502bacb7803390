# One job, one condition: predictions and one line of metrics.


rule evaluate:
    input:
        unpack(evaluation_input),
    output:
        metrics=paths.metrics(),
        predictions=paths.predictions(),
    log:
        paths.log("evaluate", "{model}", "{task}", "{finetuning}", "{language}", "{intervention}"),
    benchmark:
        paths.benchmark("evaluate", "{model}", "{task}", "{finetuning}", "{language}", "{intervention}")
    group:
        "evaluate-{model}-{task}"
    conda:
        "../../environment.yml"
    resources:
        gpu=1,
        mem_mb=memory_of("evaluate"),
        runtime=time_of("evaluate"),
        batch_tokens=settings.evaluation.batch_tokens,
    params:
        version=version_of("evaluate"),
        quantization=model_setting("quantization"),
        dtype=model_setting("dtype"),
        site=lambda wildcards: None if wildcards.intervention == "none" else settings.interventions.site,
        statistics=expected_statistics,
        method=lambda wildcards: method_settings(split_intervention(wildcards.intervention)[1]),
        finetuning=finetuning_params,
        seed=settings.seed,
        max_tokens=task_setting("max_tokens"),
        prompt=task_setting("prompt"),
        separator=task_setting("separator"),
        max_new_tokens=task_setting("max_new_tokens"),
    message:
        "{wildcards.task} in {wildcards.language}: {wildcards.model}, {wildcards.finetuning}, {wildcards.intervention}"
    script:
        "../scripts/evaluate.py"
