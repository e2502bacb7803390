# Counts of every neuron's activations, shard by shard; merged by language; then statistics.


rule collect_activations:
    input:
        tokens=paths.tokens(),
        model=of(models.loadable),
    output:
        paths.shard_activations(),
    log:
        paths.log("collect_activations", "{model}", "{language}", "{shard}"),
    benchmark:
        paths.benchmark("collect_activations", "{model}", "{language}", "{shard}")
    group:
        groups.of("collect_activations", "collect-{model}")
    conda:
        "../../environment.yml"
    resources:
        gpu=1,
        mem_mb=memory_of("collect_activations"),
        runtime=time_of("collect_activations"),
        batch_tokens=settings.activations.batch_tokens or 0,  # 0: what fits
    params:
        version=version_of("collect_activations", facts.of_model),
        batch_percentiles=settings.activations.batch_percentiles,
        reference_tokens=batch_setting("reference_tokens"),
        every=batch_setting("every"),
        quantization=model_setting("quantization"),
        dtype=model_setting("dtype"),
    message:
        "Activations of {wildcards.model} on {wildcards.language}, shard {wildcards.shard}"
    script:
        "../scripts/collect_activations.py"


rule merge_activations:
    input:
        [paths.shard_activations(shard=shard) for shard in SHARDS],
    output:
        paths.activations(),
    log:
        paths.log("merge_activations", "{model}", "{language}"),
    group:
        groups.of("merge_activations", "counts-{model}")
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory_of("merge_activations"),
        runtime=time_of("merge_activations"),
        in_turn=1,
    params:
        version=version_of("merge_activations"),
    message:
        "Merging the activations of {wildcards.model} on {wildcards.language}"
    script:
        "../scripts/merge_activations.py"


rule summarize_activations:
    input:
        paths.activations(),
    output:
        paths.statistic(),
    log:
        paths.log("summarize_activations", "{model}", "{language}", "{statistic}"),
    group:
        groups.of("summarize_activations", "counts-{model}")
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory_of("summarize_activations"),
        runtime=time_of("summarize_activations"),
        in_turn=1,
    params:
        version=version_of("summarize_activations"),
        shards=SHARDS,
        statistic=of(evaluations.statistic_settings),
    message:
        "Statistic {wildcards.statistic} of {wildcards.model} on {wildcards.language}"
    script:
        "../scripts/summarize_activations.py"
