"""The matrix of perplexity changes in bits per byte of text, which compare between languages and models."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from langneurons.figures.neurons import change_matrix
from langneurons.tables.perplexity_file import read_changes

if TYPE_CHECKING:
    import altair as alt

STEP = 0.001


def bits_per_byte_change(
    tsv_path: str | os.PathLike, title: str, width: int, height: int, expected: Mapping[str, str] | None = None
) -> alt.Chart:
    """Matrix: change of the bits per byte of a text (column) with the neurons of a language (row) at zero.

    The method is the name of the file; the colours are those of ``figures.perplexity_change``. Raises ValueError
    naming the file as ``perplexity_file.read_changes``.
    """
    changes = []
    for row in read_changes(tsv_path, expected):
        change = row["bits_per_byte_zeroed"] - row["bits_per_byte_base"]
        pair = {name: row[name] for name in ("language", "zeroed", "neurons")}
        changes.append(pair | {"change": change, "label": _label(change)})
    lines = [f"Change of bits per byte of text with a language's neurons at zero ({Path(tsv_path).stem})"]
    return change_matrix(changes, title, lines, width, height, STEP)


def _label(change: float) -> str:
    """Three decimals up to 10, then none; a change that rounds to nothing has no sign: 0.000."""
    text = f"{change:.3f}" if abs(change) < 10 else f"{change:.0f}"
    return text.removeprefix("-") if not float(text) else text.replace("-", "−")
