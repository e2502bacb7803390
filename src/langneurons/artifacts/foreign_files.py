"""Files that others wrote: text, JSON, TSV and Parquet, read right or refused with file and line.

``name`` is what an error calls the file: its path, or a key of the configuration and its path.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow

_KINDS = {
    b"\x1f\x8b": "is compressed by gzip; unpack it (gunzip)",
    b"PK\x03\x04": "is a ZIP archive (as spreadsheets are); unpack it, or save the table as text",
    b"BZh": "is compressed by bzip2; unpack it (bunzip2)",
    b"\xfd7zXZ": "is compressed by xz; unpack it (unxz)",
    b"\x28\xb5\x2f\xfd": "is compressed by Zstandard; unpack it (unzstd)",
    b"\xff\xfe": "is UTF-16, not UTF-8; save the file as UTF-8",
    b"\xfe\xff": "is UTF-16, not UTF-8; save the file as UTF-8",
    b"version https://git-lfs": "is a pointer of Git LFS, not the file itself; fetch it (git lfs pull)",
    b"PAR1": "is a Parquet file; let its name end in .parquet",
}
_BOM = b"\xef\xbb\xbf"
_FIELD = re.compile(r'(?:"([^"]*(?:""[^"]*)*)"|([^"\t\r\n]*))(\t|\r?\n|\Z)')


def check(path: str | os.PathLike, name: str, ending: str = "") -> None:
    """ValueError where a file is missing or empty, or its first bytes are of another kind than its ``ending`` says."""
    file = Path(path)
    if not file.is_file():
        raise ValueError(f"{name}: no such file; put it there or write another path")
    with file.open("rb") as stream:
        start = stream.read(4096)
    if not start:
        raise ValueError(f"{name}: the file is empty")
    for magic, what in _KINDS.items():
        if start.startswith(magic) and not (ending == ".parquet" and magic == b"PAR1"):
            raise ValueError(f"{name}: {what}")
    if ending != ".parquet" and b"\0" in start:
        raise ValueError(f"{name}: is UTF-16 or no text at all (a byte of 0); save the file as UTF-8")


def lines(path: str | os.PathLike, name: str) -> Iterator[tuple[int, str]]:
    """(number, text) of the lines of a UTF-8 file, a byte order mark left out.

    A line ends with the line feed alone: text may hold the other separators of Unicode. ValueError names the line.
    """
    check(path, name)
    with Path(path).open("rb") as stream:
        for number, raw in enumerate(stream, 1):
            if number == 1:
                raw = raw.removeprefix(_BOM)
            try:
                text = raw.decode("utf-8")
            except UnicodeDecodeError as error:
                raise ValueError(
                    f"{name}, line {number}: not UTF-8 ({error.reason} at byte {error.start}); save the file as UTF-8"
                ) from None
            yield number, text.removesuffix("\n").removesuffix("\r")


def text(path: str | os.PathLike, name: str) -> str:
    """All of a UTF-8 file but a byte order mark; ValueError also where it holds but white space."""
    check(path, name)
    raw = Path(path).read_bytes().removeprefix(_BOM)
    try:
        content = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line, start = raw.count(b"\n", 0, error.start) + 1, error.start - raw.rfind(b"\n", 0, error.start) - 1
        raise ValueError(
            f"{name}, line {line}: not UTF-8 ({error.reason} at byte {start}); save the file as UTF-8"
        ) from None
    if not content.strip():
        raise ValueError(f"{name}: the file is empty")
    return content


class _Refused(ValueError):
    """A fault that names its place already."""


def parsed(content: str, at: str, advice: str = "") -> Any:
    """The value of a JSON text. ``at``: the file, and the line where ``content`` is one of many.

    ValueError for what is no JSON, and for what readers of JSON take silently or in different ways: a duplicate key in
    one object, NaN and infinity, nesting deeper than Python's stack, and integers of thousands of digits.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            duplicate = next(key for key in keys if keys.count(key) > 1)
            raise _Refused(f"{at}: the key {duplicate!r} is duplicated in one object; write it once")
        return found

    def constant(word: str) -> Any:
        raise _Refused(f"{at}: {word} is no number of JSON; write a number, or null")

    def decimal(word: str) -> float:
        if math.isinf(float(word)):
            raise _Refused(f"{at}: {word} is too large a number; write a smaller one")
        return float(word)

    try:
        return json.loads(content, object_pairs_hook=unique, parse_constant=constant, parse_float=decimal)
    except _Refused:
        raise
    except json.JSONDecodeError as error:
        place = f", line {error.lineno}" if error.lineno > 1 else ""
        raise ValueError(f"{at}{place}: not JSON ({error.msg} at character {error.colno}){advice}") from None
    except RecursionError:
        raise ValueError(f"{at}: is nested too deeply to be data; write the file again") from None
    except ValueError:  # what Python says of an integer of more than 4,300 digits
        raise ValueError(f"{at}: holds a number of too many digits; write a smaller one") from None


def string(value: Any, at: str) -> str:
    """``value``, a text that UTF-8 can hold; ValueError names ``at``, the place and the key."""
    if not isinstance(value, str):
        raise ValueError(f"{at} is {_shown(value)}; write a text")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        half = f"\\u{ord(value[error.start]):04x}"
        raise ValueError(
            f"{at} holds {half}, half of a character (a lone surrogate), at {error.start}; correct the text"
        ) from None
    return value


def need(columns: tuple[str, ...], present: list[str], at: str) -> None:
    """ValueError where one of ``columns`` is not ``present``, or is duplicated."""
    if missing := [c for c in columns if c not in present]:
        raise ValueError(f"{at}: has no column {', '.join(missing)}; it has: {', '.join(map(str, present))}")
    if duplicates := [c for c in columns if present.count(c) > 1]:
        raise ValueError(f"{at}: has the column {duplicates[0]} twice; keep one")


def tsv(path: str | os.PathLike, name: str) -> list[tuple[int, list[str]]]:
    """(line where it begins, fields) of every row of a TSV file, the header first.

    XNLI's own files have no quoting: a quotation mark is text, wherever it stands. pandas and others quote a field that
    holds a tab, a line end or a quotation mark, and double the marks within. A file is read as quoted where all of it
    fits that and the header's number of fields, and its marks say so: names of the header in marks, marks doubled in
    every marked field, or a file that does not fit the header without quoting. A file whose marks only surround whole
    fields is not quoted: no writer would have had to. ValueError, with a line, where both readings fit otherwise.
    """
    content = text(path, name).rstrip("\r\n")
    plain = [(number, line.removesuffix("\r").split("\t")) for number, line in enumerate(content.split("\n"), 1)]
    found = _quoted(content) if '"' in content else None
    if found is None:
        return plain
    quoted, marked = found
    if len({len(fields) for _, fields in quoted}) > 1:
        return plain
    if len({len(fields) for _, fields in plain}) > 1 or marked[0][0] == 1:
        return quoted
    spanning = [line for line, field in marked if "\t" in field or "\n" in field]
    single = [line for line, field in marked if '""' not in field]
    if not spanning and len(single) == len(marked):
        return plain
    if not spanning and not single:
        return quoted
    line = (spanning or single)[0]
    raise ValueError(
        f"{name}, line {line}: quotation marks may be text or quoting here; save the file as JSON lines or Parquet"
    )


def _quoted(content: str) -> tuple[list[tuple[int, list[str]]], list[tuple[int, str]]] | None:
    """Rows of a text in which quoting is consistent, and (line, what marks surround) of marked fields; else None."""
    rows: list[tuple[int, list[str]]] = []
    marked: list[tuple[int, str]] = []
    fields: list[str] = []
    place, line, start = 0, 1, 1
    while True:
        match = _FIELD.match(content, place)
        if match is None:
            return None
        inner, plain, end = match.groups()
        if inner is None:
            fields.append(plain)
        else:
            fields.append(inner.replace('""', '"'))
            marked.append((line, inner))
            line += inner.count("\n")
        place = match.end()
        if end != "\t":
            rows.append((start, fields))
            line, fields = line + 1, []
            start = line
            if not end:
                return (rows, marked) if marked else None


@contextmanager
def parquet_faults(name: str) -> Iterator[None]:
    """Turn what pyarrow says of a file while the body reads it into a ValueError that names the file."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{name}: is no Parquet file, or a damaged one ({_first_line(error)})") from None


def parquet(
    path: str | os.PathLike, name: str, columns: tuple[str, ...], optional: tuple[str, ...] = ()
) -> pyarrow.Table:
    """``columns``, and those of ``optional`` that it has, of a Parquet file; ValueError names it whatever fails."""
    import pyarrow.parquet as pq

    check(path, name, ".parquet")
    with parquet_faults(name), pq.ParquetFile(path) as file:
        present = list(file.schema_arrow.names)
        need(columns, present, name)
        wanted = [c for c in (*columns, *optional) if c in present]
        need(tuple(wanted), present, name)
        table = file.read(columns=wanted)
    if not table.num_rows:
        raise ValueError(f"{name}: the file is empty (no row)")
    return table


def records(table: pyarrow.Table, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """(number from 1, values) of every row of a Parquet file's table; a thousand rows are Python objects at a time."""
    number = 0
    for batch in table.to_batches(max_chunksize=1000):
        try:
            rows = batch.to_pylist()
        except (UnicodeDecodeError, ValueError) as error:
            raise ValueError(
                f"{name}, rows {number + 1} to {number + len(batch)}: holds a value that cannot be read "
                f"({_first_line(error)}); save texts as UTF-8"
            ) from None
        for row in rows:
            number += 1
            yield number, row


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:60]}… ({len(shown)} characters)"
