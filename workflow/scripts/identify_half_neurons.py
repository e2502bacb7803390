"""Find the neurons of each language by one method, on half of the shards."""

from pathlib import Path

from langneurons.runner.jobs import job

with job(snakemake):
    from langneurons.experiment.identification import mask_method
    from langneurons.methods.identify import identify
    from langneurons.methods.sources import Sources

    spec, wildcards = dict(snakemake.params.method), snakemake.wildcards
    files = {code: list(paths) for code, paths in snakemake.input.items()}
    shards = [Path(path).stem for path in next(iter(files.values()))]
    mask = identify(mask_method(wildcards.mask), spec, Sources(files, model_key=wildcards.model, shards=shards))
    mask.write(snakemake.output[0], model_key=wildcards.model, half=wildcards.half, settings=spec)
    for language in mask.languages:
        print(f"{language}: {mask.count(language)} neurons")
    print(mask.details)
