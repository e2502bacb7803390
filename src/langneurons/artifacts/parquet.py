"""Parquet files that say what they are and carry the SHA-256 of all their bytes.

The facts are the file's metadata under ``langneurons``; the checksum, under ``langneurons.sha256``, is of the whole
file with its own 64 digits as zeros. So every bit of the file is verified on reading: data, page headers and footer.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from langneurons.artifacts.facts import AGAIN, ArtifactError, block, check_there, compare, parse_block
from langneurons.files import write_atomically

KEY = "langneurons"
CHECKSUM = "langneurons.sha256"
_EMPTY = b"0" * 64
# In the footer, in Thrift's compact protocol: the key, then a string (0x18) of 64 (0x40) bytes.
_STORED = re.compile(re.escape(CHECKSUM.encode()) + rb"\x18\x40([0-9a-f]{64})")
_CHUNK = 1 << 20


def write_parquet(
    path: str | os.PathLike, table: pa.Table, kind: str, facts: Mapping[str, Any], **options: Any
) -> None:
    """Write a table, whole or not at all, with its facts (see ``langneurons.artifacts.facts``) and checksum.

    ``options`` go to ``pyarrow.parquet.ParquetWriter``; the compression is zstd unless they say otherwise. DiskFull if
    there is no space; ValueError for facts that are no JSON values.
    """
    with parquet_writer(path, table.schema, kind, facts, **options) as writer:
        writer.write_table(table)


@contextmanager
def parquet_writer(
    path: str | os.PathLike, schema: pa.Schema, kind: str, facts: Mapping[str, Any], **options: Any
) -> Iterator[pq.ParquetWriter]:
    """As ``write_parquet``, for a table that is written in parts: yields the writer."""
    text = block(kind, facts)
    with write_atomically(path) as partial:
        with pq.ParquetWriter(
            partial, schema.remove_metadata(), **{"compression": "zstd", "write_page_checksum": True, **options}
        ) as writer:
            yield writer
            writer.add_key_value_metadata({KEY: text, CHECKSUM: _EMPTY.decode()})
        place = _place_of_checksum(partial)
        digest = _digest(partial, place)
        with open(partial, "r+b") as file:
            file.seek(place)
            file.write(digest.encode())


@contextmanager
def open_parquet(
    path: str | os.PathLike, kind: str, expected: Mapping[str, Any] | None = None, verified: bool = False
) -> Iterator[tuple[pq.ParquetFile, dict[str, Any]]]:
    """Verify a file, compare its facts with ``expected``, and yield it with its facts, to be read in parts.

    ``verified``: the caller has verified its bytes just before, as ``read_facts`` does.

    ArtifactError, naming the file, if it is missing, damaged, of another kind or not the expected one; errors of
    pyarrow inside the ``with`` likewise.
    """
    if not verified:
        verify(path)
    try:
        with pq.ParquetFile(path) as file:
            facts = parse_block(path, (file.metadata.metadata or {}).get(KEY.encode(), b""), kind)
            compare(path, facts, expected)
            yield file, facts
    except (pa.ArrowException, OSError) as error:
        raise ArtifactError(f"{path}: cannot be read as Parquet ({_first_line(error)}); {AGAIN}") from error


def read_parquet(
    path: str | os.PathLike,
    kind: str,
    expected: Mapping[str, Any] | None = None,
    columns: Sequence[str] | None = None,
) -> tuple[pa.Table, dict[str, Any]]:
    """The table (or some ``columns``) and the facts of what ``write_parquet`` wrote; errors as ``open_parquet``."""
    with open_parquet(path, kind, expected) as (file, facts):
        if columns is not None and (missing := [c for c in columns if c not in file.schema_arrow.names]):
            raise ArtifactError(f"{path}: has no column {', '.join(missing)}; {AGAIN}")
        return file.read(columns=None if columns is None else list(columns)).replace_schema_metadata(None), facts


def read_facts(path: str | os.PathLike, kind: str, expected: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The facts of a file alone, verified; errors as ``open_parquet``."""
    with open_parquet(path, kind, expected) as (_, facts):
        return facts


def verify(path: str | os.PathLike) -> None:
    """ArtifactError unless the file is there, whole, and its bytes have the checksum that it carries."""
    check_there(path)
    place = _place_of_checksum(path)
    with open(path, "rb") as file:
        file.seek(place)
        stored = file.read(len(_EMPTY)).decode("ascii", "replace")
    if _digest(path, place) != stored:
        raise ArtifactError(f"{path}: is damaged: its bytes do not have the checksum that it carries; {AGAIN}")


def _place_of_checksum(path: str | os.PathLike) -> int:
    """Offset of the checksum's digits. ArtifactError if there are none, or several."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 8))
        end = file.read(8)
        length = int.from_bytes(end[:4], "little") if len(end) == 8 else size
        if end[4:] != b"PAR1" or length + 12 > size:
            raise ArtifactError(f"{path}: is no whole Parquet file (truncated, or another format); {AGAIN}")
        start = size - 8 - length
        file.seek(start)
        found = list(_STORED.finditer(file.read(length)))
    if len(found) != 1:
        raise ArtifactError(f"{path}: carries no checksum: it is damaged, or was not written by this version; {AGAIN}")
    return start + found[0].start(1)


def _digest(path: str | os.PathLike, place: int) -> str:
    """SHA-256 of the file with zeros for the digits at ``place``."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        left = place
        while left:
            chunk = file.read(min(left, _CHUNK))
            digest.update(chunk)
            left -= len(chunk)
        file.seek(len(_EMPTY), os.SEEK_CUR)
        digest.update(_EMPTY)
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
