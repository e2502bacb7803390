"""Find the neurons of each language by one method."""

from langneurons.jobs import job

with job(snakemake.log[0]):
    from langneurons.identification.identify import identify, identify_random

    method, spec = snakemake.wildcards.method, dict(snakemake.params.method)
    if spec["kind"] == "random":
        mask = identify_random(method, spec, list(snakemake.input.masks))
    else:
        files = ([path] for path in snakemake.input.activations)
        mask = identify(method, spec, dict(zip(spec["languages"], files, strict=True)))
    mask.write(snakemake.output[0])
    for language in mask.languages:
        print(f"{language}: {mask.count(language)} neurons")
    print(mask.details)
