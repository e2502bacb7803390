"""Figure of training: how the loss of a model's fine-tunings on a task falls."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import altair as alt

from langneurons.figures.neurons import _finish
from langneurons.finetuning.curves import read_curve

POINTS = 40  # of a line, at most: each is the mean of as many steps as that takes
COLORS = alt.Scale(scheme="viridis", reverse=True)


def finetuning_curves(
    tsv_paths: Sequence[str | os.PathLike],
    title: str,
    width: int,
    height: int,
    expected: Mapping[str, str] | None = None,
) -> alt.LayerChart:
    """Lines: training loss of each fine-tuning, smoothed; points: its validation loss at the end of each epoch.

    A fine-tuning's name is its file's. ``expected``: the ``model`` and ``task`` that the curves must be of; then each
    must be of the fine-tuning that its name says, too. Raises ValueError naming the file for a curve that cannot be
    read, or is of another fine-tuning.
    """
    names = [Path(path).stem for path in tsv_paths]
    lines, points = [], []
    for name, path in zip(names, tsv_paths, strict=True):
        curve = read_curve(path, None if expected is None else {**expected, "finetuning": name})
        lines += [{"finetuning": name, **point} for point in smoothed(curve)]
        points += [
            {"finetuning": name, "epoch": row["epoch"], "loss": row["validation_loss"]}
            for row in curve
            if row["validation_loss"] is not None
        ]
    color = alt.Color("finetuning:N", sort=names, scale=COLORS, legend=alt.Legend(title="Fine-tuning"))
    x = alt.X("epoch:Q", title="Epoch", scale=alt.Scale(nice=False)).axis(tickCount=6)
    y = alt.Y("loss:Q", title="Loss", scale=alt.Scale(zero=False))
    tooltip = ["finetuning:N", alt.Tooltip("epoch:Q", format=".2f"), alt.Tooltip("loss:Q", format=".4f")]
    drawn = alt.Chart(alt.Data(values=lines)).mark_line(strokeWidth=1.2).encode(x=x, y=y, color=color)
    marks = (
        alt.Chart(alt.Data(values=points))
        .mark_point(filled=True, size=40, opacity=1)
        .encode(x, y, color, tooltip=tooltip)
    )
    task = Path(tsv_paths[0]).parent.name
    subtitle = [
        f"Loss of fine-tuning on {task}: training (lines)" + (", source-language test (points)" if points else "")
    ]
    return _finish([drawn, marks] if points else [drawn], title, subtitle, width, height)


def smoothed(curve: Sequence[dict], points: int = POINTS) -> list[dict]:
    """At most ``points`` dicts with epoch and loss: means over equal windows of steps, at the end of each."""
    size = -(-len(curve) // points)
    windows = [curve[start : start + size] for start in range(0, len(curve), size)]
    return [{"epoch": w[-1]["epoch"], "loss": sum(row["loss"] for row in w) / len(w)} for w in windows]
