"""Perplexity of each language with each language's neurons at zero."""

from langneurons.jobs import fix_threads, job

with job(snakemake.log[0], snakemake.threads):
    from langneurons.corpus.packing import read_blocks
    from langneurons.evaluation.perplexity import measure_changes, write_perplexity
    from langneurons.identification.mask import NeuronMask
    from langneurons.models.loading import load_base

    fix_threads(snakemake.threads)
    p = snakemake.params
    mask = NeuronMask.read(snakemake.input.mask)
    texts = {
        language: read_blocks(path, "heldout")
        for language, path in zip(p.languages, snakemake.input.tokens, strict=True)
    }
    model = load_base(snakemake.input.model, "causal", p.quantization, p.dtype)
    rows = measure_changes(model, snakemake.input.model, mask, texts, p.site, snakemake.resources.batch_tokens)
    write_perplexity(snakemake.output[0], rows)
