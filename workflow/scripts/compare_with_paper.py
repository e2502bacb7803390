"""Set one rendered table beside the paper's."""

from pathlib import Path

from langneurons.runner.jobs import job

with job(snakemake):
    from langneurons.tables import captions, reference

    p, table = snakemake.params, snakemake.wildcards.table
    frame = reference.compare_with_paper(snakemake.input[0], table, p.titles)
    number = reference.TABLES.index(table) + 1
    inside = frame["inside"].dropna().tolist()
    lacking = reference.missing_numbers(snakemake.input[0], table, p.titles)
    reference.write_comparison(
        frame,
        Path(snakemake.output.tsv).with_suffix(""),
        p.table["decimals"],
        p.level,
        f"{p.table['caption'].removesuffix('.')}: ours and Table {number} of the paper.",
        captions.against_paper(number, inside, lacking, p.level, p.table["notes"]),
    )
