"""Small tables as tab-separated text that says what it is and carries a checksum.

The facts of the file are columns like the others, with the same value in every row. The last column, ``checksum``, is
the same in every row too: the first 16 digits of the SHA-256 of the header and of all rows without it. So every
damaged character is found, and a program that knows nothing of this reads an ordinary table.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from langneurons.artifacts.facts import AGAIN, ArtifactError, check_there, compare
from langneurons.files import write_atomically

CHECKSUM = "checksum"
_DIGITS = 16


def write_tsv(path: str | os.PathLike, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows, whole or not at all: text as it is, numbers in full precision, None as an empty field.

    ValueError, naming the file, for no row and for text with a tab or a line break; DiskFull if there is no space.
    """
    lines = ["\t".join(columns), *("\t".join(_field(path, name, row[name]) for name in columns) for row in rows)]
    if len(lines) < 2:
        raise ValueError(f"{path}: there is no row to write")
    own = _checksum(lines)
    ends = [CHECKSUM, *[own] * (len(lines) - 1)]
    with write_atomically(path) as partial:
        text = "".join(f"{line}\t{end}\n" for line, end in zip(lines, ends, strict=True))
        partial.write_text(text, encoding="utf-8", newline="\n")


def read_tsv(
    path: str | os.PathLike, columns: Iterable[str], expected: Mapping[str, Any] | None = None
) -> list[dict[str, str]]:
    """The rows of what ``write_tsv`` wrote, as text, without the checksum.

    ``columns``: those that must be there; ``expected``: the value that a column must have in every row. ArtifactError,
    naming the file, if it is missing, damaged, lacks a column, or is not the expected one.
    """
    check_there(path)
    try:
        text = Path(path).read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ArtifactError(f"{path}: is damaged: byte {error.start} is not UTF-8; {AGAIN}") from None
    split = [line.rpartition("\t") for line in text.split("\n")]
    if len(split) < 3 or split.pop() != ("", "", ""):
        raise ArtifactError(f"{path}: is damaged: it does not hold a header and whole rows; {AGAIN}")
    if split[0][2] != CHECKSUM:
        raise ArtifactError(f"{path}: carries no checksum: it is damaged, or was not written by this version; {AGAIN}")
    own = _checksum([line for line, _, _ in split])
    if any(end != own for _, _, end in split[1:]):
        raise ArtifactError(f"{path}: is damaged: its rows do not have the checksum that they carry; {AGAIN}")
    header, *lines = (line.split("\t") for line, _, _ in split)
    if missing := [name for name in (*columns, *(expected or {})) if name not in header]:
        raise ArtifactError(f"{path}: has no column {', '.join(missing)}; {AGAIN}")
    rows = [dict(zip(header, line, strict=True)) for line in lines]
    for row in rows:
        compare(path, {name: row[name] for name in expected or {}}, expected)
    return rows


def _field(path: str | os.PathLike, name: str, value: Any) -> str:
    text = "" if value is None else value if isinstance(value, str) else repr(value)
    if any(character in text for character in "\t\n\r"):
        raise ValueError(f"{path}: {name} is {text!r}; a value of a table holds neither tabs nor line breaks")
    return text


def _checksum(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:_DIGITS]
