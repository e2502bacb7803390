"""The curve of a fine-tuning as a file: a row per step, the validation loss at the end of each epoch."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping

from langneurons.artifacts.tsv import read_tsv, write_tsv
from langneurons.finite import check_finite

COLUMNS = ("step", "epoch", "learning_rate", "loss", "gradient_norm", "validation_loss")


def write_curve(curve: Iterable[Mapping], path: str | os.PathLike, facts: Mapping[str, str] | None = None) -> None:
    """Write the TSV of ``training.train``'s curve, in full precision; None is an empty field.

    ``facts``: columns of their own, the same in every row: ``model``, ``task`` and ``finetuning``. ValueError, naming
    the file and the step, for a number that is not finite.
    """
    curve, facts = list(curve), dict(facts or {})
    for name in COLUMNS[1:]:
        check_finite([0.0 if row[name] is None else row[name] for row in curve], f"{path}: {name}", ("row",))
    write_tsv(path, [*facts, *COLUMNS], [facts | {name: row[name] for name in COLUMNS} for row in curve])


def read_curve(path: str | os.PathLike, expected: Mapping[str, str] | None = None) -> list[dict]:
    """Read what ``write_curve`` wrote.

    ValueError naming the file for one that is damaged, of another fine-tuning than ``expected``, a missing column, or
    what is no finite number.
    """
    rows = read_tsv(path, COLUMNS, expected)
    curve = []
    for number, row in enumerate(rows, 2):
        try:
            values: dict[str, float | None] = {name: float(row[name]) for name in COLUMNS[1:-1]}
            values["step"] = int(row["step"])
            values["validation_loss"] = float(row["validation_loss"]) if row["validation_loss"] else None
        except ValueError:
            raise ValueError(f"{path}: line {number} holds what is no number; fine-tune again") from None
        if not all(math.isfinite(value) for value in values.values() if value is not None):
            raise ValueError(f"{path}: line {number} holds a number that is not finite; fine-tune again")
        curve.append(values)
    return curve
