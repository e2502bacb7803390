"""The answer, counted from finished tables: what differs from no intervention, what from as many random neurons.

Reads the tables' TSV alone: what is said is what was printed.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from langneurons.evaluation.scoring import Scoring
from langneurons.registry import entry
from langneurons.tables.base import Count, Findings
from langneurons.tables.findings import NONE, RANDOM

QUESTION = (
    "Some neurons of a multilingual language model fire for one language and hardly for any other. Does setting a "
    "language's neurons to a constant make the model better at a task in that language? Does it do anything that as "
    "many random neurons would not?"
)


class Rendered(NamedTuple):
    """A table's kind, its TSV, and how its task is scored; None is the kind of a table beside the paper's."""

    kind: str | None
    path: str | os.PathLike
    scoring: Scoring | None = None


Tables = Mapping[str, Rendered]
"""Tables by name, in order."""


def read_tsv(path: str | os.PathLike) -> list[dict[str, str]]:
    """Rows of a table's TSV; ValueError naming the file if it has no header, or a row of another length."""
    with _reading(path), open(path, encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, delimiter="\t")
        if not reader.fieldnames:
            raise ValueError("holds no header")
        rows = list(reader)
        for number, row in enumerate(rows, 2):
            if None in row or None in row.values():
                raise ValueError(f"line {number} has another number of fields than the header")
        return rows


def findings_of(name: str, table: Rendered, alpha: float = 0.05) -> Findings:
    """What a table says; ``alpha``: the largest p-value that counts as a difference.

    ValueError naming the file for a column that is not there or a number that is none.
    """
    if table.kind is None:
        return Findings([], None)
    with _reading(table.path):
        return entry("tables", table.kind).findings(name, read_tsv(table.path), alpha, table.scoring)


def sentences(counts: Iterable[Count]) -> list[str]:
    """The answer in words: a sentence against no intervention, one against random neurons."""
    counts = list(counts)
    said = []
    for against, verb, none in (
        (NONE, "differ from no intervention", "No table of this run compares interventions with none."),
        (RANDOM, "do more than as many random neurons", "No table of this run compares them with random neurons."),
    ):
        mine = [count for count in counts if count.against == against and count.compared]
        if not mine:
            said.append(none)
            continue
        total, higher, lower = (sum(getattr(c, name) for c in mine) for name in ("compared", "higher", "lower"))
        if not higher + lower:
            said.append(f"None of {total} comparisons {verb.replace('differ ', 'differs ').replace('do ', 'does ')}.")
            continue
        which: dict[bool, list[str]] = {True: [], False: []}
        for count in mine:
            for up, number in ((True, count.higher), (False, count.lower)):
                if number:
                    which[up].append(f"{count.intervention} in {count.table} ({count.metric}, {number})")
        parts = [
            f"{number} {word}: {', '.join(which[up])}"
            for up, word, number in ((True, "higher", higher), (False, "lower", lower))
            if number
        ]
        said.append(f"{higher + lower} of {total} comparisons {verb}. {'; '.join(parts)}.")
    return said


@contextmanager
def _reading(path: str | os.PathLike) -> Iterator[None]:
    """Name the table in whatever is wrong with its columns and numbers."""
    try:
        yield
    except KeyError as error:
        raise ValueError(f"{path}: has no column {error}; render the table again") from None
    except ValueError as error:
        if str(path) in str(error):
            raise
        raise ValueError(f"{path}: {error}; render the table again") from None
