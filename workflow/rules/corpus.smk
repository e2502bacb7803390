# Text of each language, in shards; then blocks of tokens for each model.

CORPUS = settings.corpus


if CORPUS.source == "demo":

    rule write_demo_corpus:
        output:
            paths.corpus(),
        log:
            paths.log("write_demo_corpus", "{language}", "{shard}"),
        localrule: True
        conda:
            "../../environment.yml"
        params:
            version=version_of("write_demo_corpus"),
            documents=CORPUS.demo.documents,
            seed=settings.seed,
        message:
            "The miniature world in {wildcards.language}, shard {wildcards.shard}"
        script:
            "../scripts/write_demo_corpus.py"

elif CORPUS.source == "files":

    rule import_corpus_shard:
        input:
            corpus_file,
        output:
            text=paths.corpus(),
            quality=paths.corpus_quality(),
        log:
            paths.log("import_corpus_shard", "{language}", "{shard}"),
        localrule: True
        conda:
            "../../environment.yml"
        params:
            version=version_of("import_corpus_shard", facts.of_language),
            shards=CORPUS.shards,
            seed=settings.seed,
            min_characters=CORPUS.min_characters,
            min_own_script=CORPUS.min_own_script,
        message:
            "Text of {wildcards.language} from {input}, shard {wildcards.shard}"
        script:
            "../scripts/import_corpus_shard.py"

else:

    localrules:
        download_corpus_shard,

    rule download_corpus_shard:
        output:
            text=paths.corpus(),
            quality=paths.corpus_quality(),
            manifest=paths.corpus_manifest(),
        log:
            paths.log("download_corpus_shard", "{language}", "{shard}"),
        retries: 0  # the job itself retries transient errors; permanent errors are not retried
        conda:
            "../../environment.yml"
        params:
            version=version_of("download_corpus_shard", facts.of_language),
            repository=CORPUS.hub.repository,
            revision=CORPUS.hub.revision,
            snapshot=CORPUS.hub.snapshot,
            name=lambda wildcards: CORPUS.hub.names.get(wildcards.language, wildcards.language),
            characters=CORPUS.hub.characters,
            shards=CORPUS.shards,
            seed=settings.seed,
            min_characters=CORPUS.min_characters,
            min_own_script=CORPUS.min_own_script,
        message:
            "Wikipedia in {wildcards.language}, shard {wildcards.shard}"
        script:
            "../scripts/download_corpus_shard.py"


rule pack_tokens:
    input:
        corpus=paths.corpus(),
        model=paths.model(),
    output:
        paths.tokens(),
    log:
        paths.log("pack_tokens", "{model}", "{language}", "{shard}"),
    benchmark:
        paths.benchmark("pack_tokens", "{model}", "{language}", "{shard}")
    group:
        groups.of("pack_tokens", "pack-{model}")
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory_of("pack_tokens"),
        runtime=time_of("pack_tokens"),
        in_turn=1,
    params:
        version=version_of("pack_tokens", facts.of_model),
        block=CORPUS.block,
        tokens=CORPUS.tokens,
        shards=CORPUS.shards,
        heldout_fraction=CORPUS.heldout_fraction,
        seed=settings.seed,
    message:
        "Blocks of tokens: {wildcards.model}, {wildcards.language}, shard {wildcards.shard}"
    script:
        "../scripts/pack_tokens.py"


rule pack_heldout_tokens:
    input:
        corpus=[paths.corpus(shard=shard) for shard in SHARDS],
        model=paths.model(),
    output:
        paths.tokens(shard="heldout"),
    log:
        paths.log("pack_heldout_tokens", "{model}", "{language}"),
    group:
        groups.of("pack_heldout_tokens", "pack-{model}")
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory_of("pack_heldout_tokens"),
        runtime=time_of("pack_heldout_tokens"),
        in_turn=1,
    params:
        version=version_of("pack_heldout_tokens", facts.of_model),
        block=CORPUS.block,
        tokens=settings.perplexity.tokens,
        heldout_fraction=CORPUS.heldout_fraction,
        seed=settings.seed,
    message:
        "Held-out blocks of tokens: {wildcards.model}, {wildcards.language}"
    script:
        "../scripts/pack_heldout_tokens.py"
