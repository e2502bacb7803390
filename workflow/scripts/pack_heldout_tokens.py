"""Pack a language's held-out documents into blocks of tokens for perplexity."""

from itertools import chain
from pathlib import Path

from langneurons.runner.jobs import job

with job(snakemake):
    from langneurons.corpus.documents import read_documents
    from langneurons.corpus.packing import Budget, pack, write_blocks
    from langneurons.models.loading import TOKENIZER, load_tokenizer, open_snapshot, tokenizer_digest

    p, wildcards = snakemake.params, snakemake.wildcards
    shards = ({"language": wildcards.language, "shard": Path(path).stem} for path in snakemake.input.corpus)
    documents = chain.from_iterable(map(read_documents, snakemake.input.corpus, shards))
    open_snapshot(snakemake.input.model, wildcards.model, TOKENIZER)
    tokenizer = load_tokenizer(snakemake.input.model)
    names = (wildcards.language, wildcards.model)
    blocks = pack(documents, tokenizer, p.block, Budget(0, p.tokens, p.heldout_fraction, p.seed), *names)
    facts = {"model_key": wildcards.model, "language": wildcards.language, "shard": "heldout", "block": p.block}
    write_blocks(snakemake.output[0], blocks, facts | {"tokenizer": tokenizer_digest(snakemake.input.model)})
    print(f"{len(blocks['heldout'])} blocks of {p.block} tokens; the budget is {p.tokens} tokens")
