"""Find the neurons of each language by one method."""

from langneurons.runner.jobs import job

with job(snakemake.log[0]):
    from langneurons.methods.identify import identify, identify_random

    model, method, spec = snakemake.wildcards.model, snakemake.wildcards.method, dict(snakemake.params.method)
    if spec["kind"] == "random":
        masks = dict(zip(sorted(set(spec["references"].values())), snakemake.input.masks, strict=True))
        mask = identify_random(method, spec, masks, model)
    else:
        files = ([path] for path in snakemake.input.activations)
        mask = identify(
            method, spec, dict(zip(spec["languages"], files, strict=True)), model, list(snakemake.params.shards)
        )
    mask.write(snakemake.output[0], model_key=model, settings=spec)
    for language in mask.languages:
        print(f"{language}: {mask.count(language)} neurons")
    print(mask.details)
