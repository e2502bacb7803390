"""The curve of a fine-tuning as a file: a row a step, the validation loss at the end of each epoch."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterable, Mapping

from langneurons.files import write_atomically

COLUMNS = ("step", "epoch", "learning_rate", "loss", "gradient_norm", "validation_loss")


def write_curve(curve: Iterable[Mapping], path: str | os.PathLike) -> None:
    """Write the TSV of ``training.train``'s curve, in full precision; None is an empty field."""
    lines = ["\t".join(COLUMNS)]
    for row in curve:
        lines.append("\t".join("" if row[name] is None else repr(row[name]) for name in COLUMNS))
    with write_atomically(path) as partial:
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_curve(path: str | os.PathLike) -> list[dict]:
    """Read what ``write_curve`` wrote. ValueError naming the file for a missing column or what is no number."""
    with open(path, encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, delimiter="\t")
        lacking = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if lacking:
            raise ValueError(f"{path}: no column {', '.join(lacking)}; fine-tune again")
        rows = list(reader)
    curve = []
    for number, row in enumerate(rows, 2):
        try:
            values = {name: float(row[name]) for name in COLUMNS[1:-1]} | {"step": int(row["step"])}
            values["validation_loss"] = float(row["validation_loss"]) if row["validation_loss"] else None
        except (ValueError, TypeError):
            raise ValueError(f"{path}: line {number} holds what is no number; fine-tune again") from None
        if not all(math.isfinite(value) for value in values.values() if value is not None):
            raise ValueError(f"{path}: line {number} holds a number that is not finite; fine-tune again")
        curve.append(values)
    if not curve:
        raise ValueError(f"{path}: holds no step; fine-tune again")
    return curve
