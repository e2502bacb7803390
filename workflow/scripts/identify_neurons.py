"""Find the neurons of each language by one method."""

from langneurons.runner.jobs import job

with job(snakemake):
    from langneurons.experiment.identification import mask_method
    from langneurons.methods.identify import identify
    from langneurons.methods.sources import Sources

    p, inputs, wildcards = snakemake.params, snakemake.input, snakemake.wildcards
    files = {"activations": {}, "masks": {}}
    for kind, read in files.items():
        for name, path in zip(p.names[kind], inputs.get(kind), strict=True):
            read.setdefault(name, []).append(path)
    sources = Sources(files["activations"], files["masks"], wildcards.model, list(p.shards))
    mask = identify(mask_method(wildcards.mask), dict(p.method), sources)
    mask.write(snakemake.output[0], model_key=wildcards.model, settings=dict(p.method))
    for language in mask.languages:
        print(f"{language}: {mask.count(language)} neurons")
    print(mask.details)
