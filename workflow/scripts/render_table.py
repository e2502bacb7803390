"""Render one table: TSV in full precision, Markdown and LaTeX as printed."""

from pathlib import Path

from langneurons.runner.jobs import job

with job(snakemake.log[0]):
    from langneurons.experiment.condition import Condition
    from langneurons.experiment.paths import condition_of
    from langneurons.tables import captions
    from langneurons.tables import condition_tables as tables
    from langneurons.tables.rows import Row
    from langneurons.tables.uncertainty import corrected, with_uncertainty

    spec, stem = dict(snakemake.params.table), str(Path(snakemake.output.tsv).with_suffix(""))
    if spec["kind"] == "statistics":
        paths = {(Path(p).parts[-3], Path(p).stem): p for p in snakemake.input.statistics}
        frame = tables.statistics_table(paths, spec["columns"], spec["titles"], spec["statistics"])
        tables.write_table(frame, stem, spec["kind"], captions.STATISTICS)
    else:
        s, task = dict(spec["significance"]), spec["task"]
        metrics = with_uncertainty(
            tables.read_metrics({condition_of(path): path for path in snakemake.input.metrics}),
            {condition_of(path): path for path in snakemake.input.predictions},
            tables.metric_columns(task, spec["metric"]).values(),
            **s,
        )
        rows = [Row(**row | {"cells": {k: Condition(**c) for k, c in row["cells"].items()}}) for row in spec["rows"]]
        frame = tables.condition_table(
            rows,
            metrics,
            task=task,
            metric=spec["metric"],
            titles=spec["titles"],
            finetuning=spec["kind"] == "finetuning",
            baselines=[Condition(**c) for c in spec["baselines"]],
        )
        text, notes = captions.caption(task, spec["kind"], spec["metric"])
        notes += captions.uncertainty(task, corrected(metrics), s["level"], s.get("resamples"))
        tables.write_table(frame, stem, spec["kind"], text, notes, alpha=1 - s["level"])
