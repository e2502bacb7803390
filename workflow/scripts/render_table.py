"""Render one table: TSV in full precision, Markdown and LaTeX as printed."""

from pathlib import Path

from langneurons.runner.jobs import job

with job(snakemake):
    from langneurons.registry import entry
    from langneurons.tables.files import write_table

    params = dict(snakemake.params.table)
    kind = entry("tables", params["kind"])
    frame = kind.frame(params, snakemake.input)
    write_table(frame, kind.text(params, frame), Path(snakemake.output.tsv).with_suffix(""))
