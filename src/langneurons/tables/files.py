"""The three files of a table, of any kind."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from langneurons.files import write_atomically
from langneurons.tables.base import Text
from langneurons.tables.formats import to_latex, to_markdown, to_tsv

if TYPE_CHECKING:
    import pandas


def write_table(frame: pandas.DataFrame, text: Text, stem: str | os.PathLike) -> list[str]:
    """Write ``stem`` + ``.tsv`` (every column, full precision, nothing where a value is missing), ``.md`` and ``.tex``.

    LaTeX needs the package booktabs. Same input, same bytes. Returns the three paths.
    """
    printed = (text.header, text.body, text.caption, text.notes)
    texts = {
        "tsv": to_tsv(frame),
        "md": to_markdown(*printed),
        "tex": to_latex(*printed, label=Path(stem).name),
    }
    for ending, content in texts.items():
        with write_atomically(f"{os.fspath(stem)}.{ending}") as partial:
            partial.write_text(content, encoding="utf-8", newline="\n")
    return [f"{os.fspath(stem)}.{ending}" for ending in texts]
