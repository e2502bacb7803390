"""Compare conditions: one row for each distinct comparison that answers a question, with its verdict."""

from langneurons.runner.jobs import job

with job(snakemake):
    from langneurons.files import write_atomically
    from langneurons.tables.formats import to_tsv
    from langneurons.tables.verdicts import comparison_frame

    text = to_tsv(comparison_frame(dict(snakemake.params.comparisons), snakemake.input))
    with write_atomically(snakemake.output[0]) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")
