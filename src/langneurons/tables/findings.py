"""What tables say in the report, counted from the rows of their TSV: what is said is what was printed."""

from __future__ import annotations

import math
from collections.abc import Mapping

from langneurons.evaluation.scoring import Scoring
from langneurons.tables.base import Count

NONE, RANDOM = "no intervention", "random neurons"


def against_none(name: str, rows: list[dict[str, str]], scoring: Scoring, alpha: float = 0.05) -> list[Count]:
    """Counts of a table of conditions, an intervention and metric each: what differs from none (p at most ``alpha``).

    A row whose mask has no neuron is not compared: its intervention is none.
    """
    rows = [row for row in rows if row.get("method") and row.get("neurons") != "0"]
    counts = []
    for column in (c.removesuffix("_p_holm") for c in (rows[0] if rows else {}) if c.endswith("_p_holm")):
        suffix = max((s for s in scoring.columns if column.endswith(s)), key=len)
        intervention = column.removesuffix(suffix)
        compared = [row for row in rows if row[f"{column}_p_holm"]]
        differ = [row for row in compared if number(row[f"{column}_p_holm"]) <= alpha]
        higher = sum(number(row[column]) > number(row[f"none{suffix}"]) for row in differ)
        values = (
            scoring.metrics[scoring.columns[suffix]].label,
            intervention,
            len(compared),
            higher,
            len(differ) - higher,
        )
        counts.append(Count(NONE, name, *values))
    return counts


def number(text: str) -> float:
    """A number of a TSV; ValueError for one that is not finite."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no finite number")
    return value


def place(row: Mapping[str, str]) -> str:
    """Whose a row of a table is."""
    return f"{row['model']}, {row['method']}, {row['language']}"
