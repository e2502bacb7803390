"""What finished tables say beside their numbers. Reads the tables' TSV alone: what is said is what was printed."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from langneurons.evaluation.scoring import Scoring
from langneurons.registry import entry
from langneurons.tables.base import Finding


class Rendered(NamedTuple):
    """A table's kind, its TSV, and how its task is scored; None is the kind of a table beside the paper's."""

    kind: str | None
    path: str | os.PathLike
    scoring: Scoring | None = None


Tables = Mapping[str, Rendered]
"""Tables by name, in order."""


def read_tsv(path: str | os.PathLike) -> list[dict[str, str]]:
    """Rows of a table's TSV; ValueError naming the file if it has no header, or a row of another length."""
    with reading(path), open(path, encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, delimiter="\t")
        if not reader.fieldnames:
            raise ValueError("holds no header")
        rows = list(reader)
        for number, row in enumerate(rows, 2):
            if None in row or None in row.values():
                raise ValueError(f"line {number} has another number of fields than the header")
        return rows


def finding_of(table: Rendered) -> Finding | None:
    """What a table says, as a paragraph of the report.

    ValueError naming the file for a column that is not there or a number that is none.
    """
    if table.kind is None:
        return None
    with reading(table.path):
        return entry("tables", table.kind).findings(read_tsv(table.path), table.scoring)


@contextmanager
def reading(path: str | os.PathLike) -> Iterator[None]:
    """Name the table in whatever is wrong with its columns and numbers."""
    try:
        yield
    except KeyError as error:
        raise ValueError(f"{path}: has no column {error}; render the table again") from None
    except ValueError as error:
        if str(path) in str(error):
            raise
        raise ValueError(f"{path}: {error}; render the table again") from None
