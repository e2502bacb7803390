"""Pack a language's held-out documents into blocks of tokens for perplexity."""

from itertools import chain

from langneurons.jobs import job

with job(snakemake.log[0]):
    from langneurons.corpus.documents import read_documents
    from langneurons.corpus.packing import pack, write_blocks

    p = snakemake.params
    documents = chain.from_iterable(read_documents(path) for path in snakemake.input.corpus)
    tokenizer = f"{snakemake.input.model}/tokenizer.json"
    blocks = pack(documents, tokenizer, p.block, 0, p.tokens, p.heldout_fraction, p.seed)
    write_blocks(snakemake.output[0], blocks)
    print(f"{len(blocks['heldout'])} blocks of {p.block} tokens; the budget is {p.tokens} tokens")
