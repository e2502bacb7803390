# Model snapshots, by the source that each model's section names.

if models_from("demo"):

    rule pretrain_demo_model:
        input:
            lambda wildcards: [
                paths.corpus(language, shard) for language in settings.corpus.languages for shard in SHARDS
            ],
        output:
            directory(paths.model()),
        params:
            model=lambda wildcards: settings.models[wildcards.model].model_dump(
                exclude={"title", "source", "quantization", "dtype"}
            ),
            heldout_fraction=settings.corpus.heldout_fraction,
            seed=settings.seed,
        wildcard_constraints:
            model=one_of(models_from("demo")),
        log:
            paths.log("pretrain_demo_model", "{model}"),
        benchmark:
            paths.benchmark("pretrain_demo_model", "{model}")
        resources:
            mem_mb=3_000,
            runtime=60,
        priority: 10
        message:
            "Pretraining the tiny model {wildcards.model}"
        script:
            "../scripts/pretrain_demo_model.py"


if models_from("files"):

    rule import_model:
        input:
            lambda wildcards: settings.models[wildcards.model].path,
        output:
            directory(paths.model()),
        wildcard_constraints:
            model=one_of(models_from("files")),
        log:
            paths.log("import_model", "{model}"),
        message:
            "Model {wildcards.model} from {input}"
        script:
            "../scripts/import_model.py"


if models_from("hub"):

    localrules:
        download_model,

    rule download_model:
        output:
            directory(paths.model()),
        params:
            repository=model_setting("repository"),
            revision=model_setting("revision"),
        wildcard_constraints:
            model=one_of(models_from("hub")),
        log:
            paths.log("download_model", "{model}"),
        retries: 3
        message:
            "Downloading {wildcards.model}"
        script:
            "../scripts/download_model.py"
