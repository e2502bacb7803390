"""Write the 4-bit weights of a model's snapshot."""

from langneurons.jobs import fix_threads, job

with job(snakemake.log[0], snakemake.threads):
    from langneurons.models.quantized import write_quantized

    fix_threads(snakemake.threads)
    p = snakemake.params
    write_quantized(snakemake.input[0], snakemake.output[0], p.quantization, p.dtype)
