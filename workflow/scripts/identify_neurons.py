"""Find the neurons of each language by one method."""

from langneurons.runner.jobs import job

with job(snakemake):
    from langneurons.methods.identify import identify
    from langneurons.methods.sources import Sources

    p, inputs, model = snakemake.params, snakemake.input, snakemake.wildcards.model
    counts, masks = (
        {name: [path] for name, path in zip(p.names[kind], inputs.get(kind), strict=True)}
        for kind in ("activations", "masks")
    )
    sources = Sources(counts, masks, model, list(p.shards))
    mask = identify(snakemake.wildcards.method, dict(p.method), sources)
    mask.write(snakemake.output[0], model_key=model, settings=dict(p.method))
    for language in mask.languages:
        print(f"{language}: {mask.count(language)} neurons")
    print(mask.details)
