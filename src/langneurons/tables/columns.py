"""How a table is printed whose columns have each a heading and a format of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from langneurons.tables.base import Text
from langneurons.tables.formats import MISSING

if TYPE_CHECKING:
    import pandas

WORDS = {"zero": "0", "exact_match": "EM", "f1": "F1", "accuracy": "Accuracy"}


def columns_text(
    frame: pandas.DataFrame, columns: Mapping[str, tuple[str, str]], caption: str, notes: list[str]
) -> Text:
    """A table as printed. ``columns``: of the frame, in order -> (heading, format of a number); others are left out.

    KeyError for a column that the frame lacks: that is a fault of the program.
    """
    header = [heading for heading, _ in columns.values()]
    body = [[_cell(line[name], form) for name, (_, form) in columns.items()] for line in frame.to_dict("records")]
    return Text(header, body, caption, notes)


def _cell(value: Any, form: str) -> str:
    import pandas as pd

    if isinstance(value, str):
        return WORDS.get(value, value)
    return MISSING if pd.isna(value) else format(value, form).replace("-", "−")
