"""Write the 4-bit weights of a model's snapshot."""

from langneurons.runner.jobs import fix_threads, job

with job(snakemake):
    from langneurons.models.loading import open_snapshot
    from langneurons.models.quantized import write_quantized

    fix_threads(snakemake.threads)
    p, model = snakemake.params, snakemake.wildcards.model
    open_snapshot(snakemake.input[0], model)
    write_quantized(snakemake.input[0], snakemake.output[0], p.quantization, p.dtype, model)
