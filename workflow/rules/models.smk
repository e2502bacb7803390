# Model snapshots, by the source that each model's section names.

if models.models_from(settings, "demo"):

    rule pretrain_demo_model:
        input:
            lambda wildcards: [
                paths.corpus(language, shard) for language in settings.corpus.languages for shard in SHARDS
            ],
        output:
            directory(paths.model()),
        log:
            paths.log("pretrain_demo_model", "{model}"),
        benchmark:
            paths.benchmark("pretrain_demo_model", "{model}")
        wildcard_constraints:
            model=one_of(models.models_from(settings, "demo")),
        priority: 10
        conda:
            "../../environment.yml"
        resources:
            mem_mb=3_000,
            runtime=60,
        params:
            version=version_of("pretrain_demo_model"),
            model=lambda wildcards: settings.models[wildcards.model].model_dump(
                exclude={"title", "source", "quantization", "dtype", "attention_targets"}
            ),
            heldout_fraction=settings.corpus.heldout_fraction,
            seed=settings.seed,
        message:
            "Pretraining the tiny model {wildcards.model}"
        script:
            "../scripts/pretrain_demo_model.py"


if models.models_from(settings, "files"):

    rule import_model:
        input:
            model_files,
        output:
            directory(paths.model()),
        log:
            paths.log("import_model", "{model}"),
        wildcard_constraints:
            model=one_of(models.models_from(settings, "files")),
        priority: 20  # a refusal comes before other work begins
        conda:
            "../../environment.yml"
        resources:
            needs=model_needs,
        params:
            version=version_of("import_model", facts.of_model),
        message:
            "Importing {wildcards.model}"
        script:
            "../scripts/import_model.py"


if models.models_from(settings, "hub"):

    localrules:
        download_model,

    rule download_model:
        output:
            snapshot=directory(paths.model()),
            manifest=paths.model_manifest(),
        log:
            paths.log("download_model", "{model}"),
        wildcard_constraints:
            model=one_of(models.models_from(settings, "hub")),
        priority: 20  # a refusal comes before other work begins
        retries: 0
        conda:
            "../../environment.yml"
        resources:
            needs=model_needs,
        params:
            version=version_of("download_model", facts.of_model),
            repository=model_setting("repository"),
            revision=model_setting("revision"),
        message:
            "Downloading {wildcards.model}"
        script:
            "../scripts/download_model.py"


if models.quantized_models(settings):

    rule quantize_model:
        input:
            paths.model(),
        output:
            directory(paths.quantized()),
        log:
            paths.log("quantize_model", "{model}"),
        benchmark:
            paths.benchmark("quantize_model", "{model}")
        wildcard_constraints:
            model=one_of(models.quantized_models(settings)),
        priority: 9
        conda:
            "../../environment.yml"
        resources:
            gpu=1,
            mem_mb=memory_of("quantize_model"),
            runtime=time_of("quantize_model"),
        params:
            version=version_of("quantize_model", facts.of_model),
            quantization=model_setting("quantization"),
            dtype=model_setting("dtype"),
        message:
            "The 4-bit weights of {wildcards.model}"
        script:
            "../scripts/quantize_model.py"
