"""Find the neurons of each language by one method, on half of the shards."""

from langneurons.jobs import job

with job(snakemake.log[0]):
    from langneurons.identification.identify import identify

    spec = dict(snakemake.params.method)
    mask = identify(snakemake.wildcards.method, spec, {code: list(snakemake.input[code]) for code in spec["languages"]})
    mask.write(snakemake.output[0])
    for language in mask.languages:
        print(f"{language}: {mask.count(language)} neurons")
    print(mask.details)
