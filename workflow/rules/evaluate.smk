# One job, one condition: predictions and one line of metrics.


rule evaluate:
    input:
        unpack(of(evaluations.evaluation_input)),
    output:
        metrics=paths.metrics(),
        predictions=paths.predictions(),
    log:
        paths.log("evaluate", "{model}", "{task}", "{finetuning}", "{language}", "{intervention}"),
    benchmark:
        paths.benchmark("evaluate", "{model}", "{task}", "{finetuning}", "{language}", "{intervention}")
    group:
        groups.of("evaluate", "evaluate-{model}-{task}")
    conda:
        "../../environment.yml"
    resources:
        gpu=1,
        mem_mb=memory_of("evaluate"),
        runtime=time_of("evaluate"),
        batch_tokens=settings.evaluation.batch_tokens,
    params:
        version=version_of("evaluate", facts.of_evaluation),
        operation=entry_versions(evaluations.intervention_entries),
        quantization=model_setting("quantization"),
        dtype=model_setting("dtype"),
        site=of(evaluations.intervention_site),
        statistics=of(evaluations.expected_statistics),
        method=of(evaluations.intervention_method),
        finetuning=of(finetunings.finetuning_settings),
        seed=settings.seed,
        entry=entry_versions(task_data.task_entries, facts.of_evaluation, job="evaluate"),
        kind=of(task_data.task_kind),
        task=of(task_data.evaluation_settings),
        limit=of(task_data.limit),
    message:
        "{wildcards.task} in {wildcards.language}: {wildcards.model}, {wildcards.finetuning}, {wildcards.intervention}"
    script:
        "../scripts/evaluate.py"
