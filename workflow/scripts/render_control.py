"""Render one table of controls: TSV in full precision, Markdown and LaTeX as printed."""

from functools import cache
from pathlib import Path

from langneurons.runner.jobs import job

with job(snakemake.log[0]):
    from langneurons.experiment.condition import Condition
    from langneurons.experiment.paths import condition_of
    from langneurons.tables import controls
    from langneurons.tables.condition_tables import metric_columns, read_metrics
    from langneurons.tables.control_tables import write_control_table
    from langneurons.tables.rows import ControlRow
    from langneurons.tables.uncertainty import agreeing

    p, inputs = dict(snakemake.params.table), snakemake.input
    kind, titles = p["kind"], p["titles"]
    if kind == "random_controls":
        rows = [
            ControlRow(
                **row
                | {name: Condition(**row[name]) for name in ("none", "own")}
                | {"random": tuple(Condition(**c) for c in row["random"])}
            )
            for row in p["rows"]
        ]
        metrics = read_metrics({condition_of(path): path for path in inputs.metrics})
        neurons = {condition: values["neurons"] for condition, values in metrics.items()}
        files = {condition_of(path): path for path in inputs.predictions}
        names = metric_columns(p["task"], p["metric"]).values()
        read = cache(lambda condition: agreeing(files[condition], condition, metrics[condition], names))
        frame = controls.random_controls(rows, read, neurons, names, titles, **p["significance"])
    elif kind == "split_half":
        pairs = zip(inputs.even, inputs.odd, strict=True)
        frame = controls.split_half(dict(zip(map(tuple, p["pairs"]), pairs, strict=True)), titles)
    else:
        measure = {"relevance_spread": controls.relevance_spread, "perplexity_change": controls.perplexity_change}
        frame = measure[kind](dict(zip(map(tuple, p["pairs"]), inputs, strict=True)), titles)
    stem, alpha = Path(snakemake.output.tsv).with_suffix(""), 1 - p.get("significance", {}).get("level", 0.95)
    write_control_table(frame, stem, kind, p.get("task"), p.get("metric"), alpha)
