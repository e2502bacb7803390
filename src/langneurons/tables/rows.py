"""Rows of the tables of conditions."""

from __future__ import annotations

from dataclasses import dataclass

from langneurons.experiment.condition import Condition


@dataclass(frozen=True)
class Row:
    """A printed row of a table: its labels and the condition of each column."""

    model: str
    group: str
    neurons: str
    language: str
    cells: dict[str, Condition]


@dataclass(frozen=True)
class ControlRow:
    """A row of a table of random controls: one intervention on the language's own neurons, and on random ones.

    ``random``: one condition per method of kind random that is matched to ``group``, in the configuration's order.
    """

    model: str
    group: str
    language: str
    intervention: str
    none: Condition
    own: Condition
    random: tuple[Condition, ...]
