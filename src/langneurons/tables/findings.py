"""Reading the rows of a table's TSV, for what the report says of it: what is said is what was printed."""

from __future__ import annotations

import math
from collections.abc import Mapping


def number(text: str) -> float:
    """A number of a TSV; ValueError for one that is not finite."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no finite number")
    return value


def place(row: Mapping[str, str]) -> str:
    """Whose a row of a table is."""
    return f"{row['model']}, {row['method']}, {row['language']}"
