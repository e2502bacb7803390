"""Count the activations of every neuron on one shard."""

from langneurons.runner.jobs import fix_threads, job

with job(snakemake):
    from langneurons.activations.collector import collect, count_nothing
    from langneurons.activations.storage import write_counts
    from langneurons.corpus.packing import read_blocks
    from langneurons.models.loading import load_base, load_shape, open_snapshot, snapshot_digest, tokenizer_digest
    from langneurons.models.neurons import find_neurons

    fix_threads(snakemake.threads)
    p, wildcards = snakemake.params, snakemake.wildcards
    folder = snakemake.input.model
    open_snapshot(folder, wildcards.model)
    facts = {"language": wildcards.language, "model_key": wildcards.model}
    expected = facts | {"shard": wildcards.shard, "tokenizer": tokenizer_digest(folder)}
    blocks, _ = read_blocks(snakemake.input.tokens, "statistics", expected)
    percentiles = {
        "batch_percentiles": tuple(p.batch_percentiles),
        "every": p.every,
        "reference_tokens": p.reference_tokens,
    }
    if len(blocks):
        model = load_base(folder, "causal", p.quantization, p.dtype)
        counts = collect(model, blocks, batch_tokens=snakemake.resources.batch_tokens or None, **percentiles)
    else:  # of an empty shard
        model = load_shape(folder)
        counts = count_nothing(model, **percentiles, dtype=p.dtype)
    metadata = facts | {
        "model": snapshot_digest(folder),
        "shards": [wildcards.shard],
        "site": "gate",
        "activation": find_neurons(model).activation,
    }
    write_counts(snakemake.output[0], counts, metadata)
