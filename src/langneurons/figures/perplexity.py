"""The matrices of perplexity changes: plain, and in bits per byte of text, which compare between languages and models.

The method is the name of the file. ValueError naming the file as ``perplexity_file.read_changes``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from langneurons.figures.neurons import change_matrix
from langneurons.tables.perplexity_file import read_changes

if TYPE_CHECKING:
    import altair as alt

STEP, BITS_STEP = 0.01, 0.001


def perplexity_change(
    tsv_path: str | os.PathLike, title: str, width: int, height: int, expected: Mapping[str, str] | None = None
) -> alt.LayerChart:
    """Matrix: change of perplexity of a text (column) with the neurons of a language (row) at zero."""
    changes = _changes(tsv_path, expected, lambda row: row["change"], _short)
    lines = [f"Change of perplexity with a language's neurons at zero ({Path(tsv_path).stem})"]
    return change_matrix(changes, title, lines, width, height, STEP)


def bits_per_byte_change(
    tsv_path: str | os.PathLike, title: str, width: int, height: int, expected: Mapping[str, str] | None = None
) -> alt.LayerChart:
    """Matrix: change of the bits per byte of a text (column) with the neurons of a language (row) at zero."""
    changes = _changes(tsv_path, expected, lambda row: row["bits_per_byte_zeroed"] - row["bits_per_byte_base"], _label)
    lines = [f"Change of bits per byte of text with a language's neurons at zero ({Path(tsv_path).stem})"]
    return change_matrix(changes, title, lines, width, height, BITS_STEP)


def _changes(
    path: str | os.PathLike,
    expected: Mapping[str, str] | None,
    change_of: Callable[[dict], float],
    label: Callable[[float], str],
) -> list[dict]:
    """Language, zeroed, neurons, change and its label of each pair in the file."""
    found = []
    for row in read_changes(path, expected):
        change = change_of(row)
        pair = {name: row[name] for name in ("language", "zeroed", "neurons")}
        found.append(pair | {"change": change, "label": label(change)})
    return found


def _short(change: float) -> str:
    """At most six characters that show the size: 0, 0.03, -1.20, 12.3, 4,321, 65k, 1.2M, 3e+12."""
    size = abs(change)
    if change == 0:
        return "0"
    for limit, text in ((9.995, f"{change:.2f}"), (99.95, f"{change:.1f}"), (9999.5, f"{change:,.0f}")):
        if size < limit:
            return text.removeprefix("-") if float(text.replace(",", "")) == 0 else text.replace("-", "−")
    for limit, text in ((999.5e3, f"{change / 1e3:.0f}k"), (99.95e6, f"{change / 1e6:.1f}M")):
        if size < limit:
            return text.replace("-", "−")
    return f"{change:.0e}".replace("-", "−")


def _label(change: float) -> str:
    """Three decimals up to 10, then none; a change that rounds to nothing has no sign: 0.000."""
    text = f"{change:.3f}" if abs(change) < 10 else f"{change:.0f}"
    return text.removeprefix("-") if not float(text) else text.replace("-", "−")
