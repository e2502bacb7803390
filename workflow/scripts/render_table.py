"""Render one table: TSV in full precision, Markdown and LaTeX as printed."""

from pathlib import Path

from langneurons.jobs import job

with job(snakemake.log[0]):
    from langneurons.conditions import Condition, Row
    from langneurons.publishing import tables
    from langneurons.publishing.captions import STATISTICS, caption

    spec, stem = dict(snakemake.params.table), str(Path(snakemake.output.tsv).with_suffix(""))
    if spec["kind"] == "statistics":
        paths = {(Path(p).parts[-3], Path(p).stem): p for p in snakemake.input.statistics}
        frame = tables.statistics_table(paths, spec["columns"], spec["titles"])
        text, notes = STATISTICS, []
    else:
        rows = [Row(**row | {"cells": {k: Condition(**c) for k, c in row["cells"].items()}}) for row in spec["rows"]]
        frame = tables.condition_table(
            rows,
            tables.read_metrics(snakemake.input.metrics),
            task=spec["task"],
            metric=spec["metric"],
            titles=spec["titles"],
            finetuning=spec["kind"] == "finetuning",
            baselines=[Condition(**c) for c in spec["baselines"]],
        )
        text, notes = caption(spec["task"], spec["kind"], spec["metric"])
    tables.write_table(frame, stem, spec["kind"], text, notes)
