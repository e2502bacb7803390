# Perplexity of every language with every language's neurons at zero, over the same held-out text.


rule measure_perplexity:
    input:
        model=of(models.loadable),
        masks=of(identification.method_files),
        tokens=lambda wildcards: [
            paths.tokens(wildcards.model, language, "heldout")
            for language in identification.method_languages(settings, wildcards.method)
        ],
    output:
        paths.perplexity(),
    log:
        paths.log("measure_perplexity", "{model}", "{method}"),
    benchmark:
        paths.benchmark("measure_perplexity", "{model}", "{method}")
    group:
        groups.of("measure_perplexity", "perplexity-{model}")
    conda:
        "../../environment.yml"
    resources:
        gpu=1,
        mem_mb=memory_of("measure_perplexity"),
        runtime=time_of("measure_perplexity"),
        batch_tokens=settings.perplexity.batch_tokens,
    params:
        version=version_of("measure_perplexity", facts.of_model),
        languages=of(identification.method_languages),
        method=of(identification.method_settings),
        quantization=model_setting("quantization"),
        dtype=model_setting("dtype"),
        site=settings.interventions.site,
    message:
        "Perplexity change of {wildcards.model} by {wildcards.method}"
    script:
        "../scripts/measure_perplexity.py"
