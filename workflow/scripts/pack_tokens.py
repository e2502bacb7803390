"""Pack one shard's documents into blocks of tokens for the statistics."""

from langneurons.runner.jobs import job

with job(snakemake):
    from langneurons.corpus.documents import read_documents, shard_budget
    from langneurons.corpus.packing import Budget, pack, write_blocks
    from langneurons.models.loading import TOKENIZER, load_tokenizer, open_snapshot, tokenizer_digest

    p, wildcards = snakemake.params, snakemake.wildcards
    expected = {"language": wildcards.language, "shard": wildcards.shard}
    documents = read_documents(snakemake.input.corpus, expected)
    tokens = shard_budget(snakemake.input.corpus, p.tokens, p.shards, expected)
    open_snapshot(snakemake.input.model, wildcards.model, TOKENIZER)
    tokenizer = load_tokenizer(snakemake.input.model)
    names = (wildcards.language, wildcards.model)
    blocks = pack(documents, tokenizer, p.block, Budget(tokens, 0, p.heldout_fraction, p.seed), *names)
    facts = expected | {"model_key": wildcards.model, "block": p.block}
    write_blocks(snakemake.output[0], blocks, facts | {"tokenizer": tokenizer_digest(snakemake.input.model)})
    print(f"{len(blocks['statistics'])} blocks of {p.block} tokens; the budget is {tokens} tokens")
