"""Perplexity of each language with each language's neurons at zero."""

from langneurons.runner.jobs import fix_threads, job

with job(snakemake):
    from langneurons.corpus.packing import read_blocks
    from langneurons.evaluation.perplexity import measure_changes, write_perplexity
    from langneurons.methods.mask import read_masks
    from langneurons.models.loading import load_base, open_snapshot, snapshot_digest, tokenizer_digest

    fix_threads(snakemake.threads)
    p, wildcards, folder = snakemake.params, snakemake.wildcards, snakemake.input.model
    open_snapshot(folder, wildcards.model)
    own = {"model_key": wildcards.model}
    expected = own | {"model": snapshot_digest(folder), "method": wildcards.method}
    mask = read_masks(snakemake.input.masks, expected, p.method)
    own |= {"shard": "heldout", "tokenizer": tokenizer_digest(folder)}
    texts = {
        language: read_blocks(path, "heldout", own | {"language": language})
        for language, path in zip(p.languages, snakemake.input.tokens, strict=True)
    }
    model = load_base(folder, "causal", p.quantization, p.dtype)
    rows = measure_changes(model, folder, mask, texts, p.site, snakemake.resources.batch_tokens)
    write_perplexity(snakemake.output[0], rows, wildcards.model, wildcards.method)
