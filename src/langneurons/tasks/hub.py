"""Task files of the Hugging Face Hub: the one Parquet file of a data set that holds a language and split."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree

from langneurons.artifacts.foreign_files import parquet_faults
from langneurons.hub.downloads import Fetched, Repository, fetch_all, list_files
from langneurons.tasks.base import HubFile


@contextmanager
def downloaded(file: HubFile, out: str | os.PathLike) -> Iterator[tuple[Path, list[Fetched]]]:
    """Download one Parquet file of a data set: its path while the body runs, and what was fetched.

    What is fetched lies beside ``out`` until the body has ended. The Hub's own errors pass. ValueError if the data set
    has no such file, or several, or another number of rows.
    """
    where, folder, start = Repository("dataset", file.repository, file.revision), file.folder, file.split
    files = [
        found
        for found in list_files(where, folder)
        if found.path.endswith(".parquet") and found.path.rsplit("/", 1)[-1].startswith(f"{start}-")
    ]
    if len(files) != 1:
        found = ", ".join(other.path for other in files) or "none"
        raise ValueError(f"{where}: one file {folder}/{start}-*.parquet was expected; found: {found}")
    beside = Path(out).with_name(f".{Path(out).name}.download")
    fetched = fetch_all(where, files, beside)
    path = beside / Path(files[0].path).name
    _check_rows(path, files[0].path, where, file.rows)
    yield path, fetched
    rmtree(beside)


def _check_rows(path: Path, name: str, where: Repository, expected: int | None) -> None:
    import pyarrow.parquet as pq

    with parquet_faults(f"{where}: {name}"):
        found = pq.read_metadata(path).num_rows
    if expected is not None and found != expected:
        raise ValueError(
            f"{where}: {name} has {found:,} rows, not the {expected:,} that the configuration's `rows` says; "
            "correct the revision, or `rows`"
        )
