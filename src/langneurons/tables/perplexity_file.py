"""The changes in a perplexity file."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping

from langneurons.artifacts.tsv import read_tsv

PERPLEXITY = ("perplexity_base", "change", "bits_per_byte_base", "bits_per_byte_zeroed")


def read_changes(path: str | os.PathLike, expected: Mapping[str, str] | None = None) -> list[dict]:
    """Rows of a perplexity file: language, zeroed, neurons (int) and the columns of ``PERPLEXITY`` (float).

    ``expected``: the ``model`` and ``method`` (keys) that it must be of. ValueError naming the file for one that is
    damaged or of another model or method, a missing column, a value that is no number, or a duplicate pair.
    """
    rows, seen = [], set()
    for row in read_tsv(path, ("language", "zeroed", "neurons", *PERPLEXITY), expected):
        pair = (row["language"], row["zeroed"])
        try:
            numbers = {name: float(row[name]) for name in PERPLEXITY} | {"neurons": int(row["neurons"])}
        except ValueError:
            numbers = {"change": math.nan}
        if pair in seen or not all(map(math.isfinite, numbers.values())):
            what = "is duplicated" if pair in seen else "has a value that is no number"
            raise ValueError(f"{path}: text {pair[0]} with {pair[1]} at zero {what}; measure the perplexity again")
        seen.add(pair)
        rows.append({"language": pair[0], "zeroed": pair[1], **numbers})
    return rows
