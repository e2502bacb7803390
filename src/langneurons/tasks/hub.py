"""Task files of the Hugging Face Hub: which file of a data set holds a language and split, and how many rows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree

from langneurons.artifacts.foreign_files import parquet_faults
from langneurons.hub.downloads import Fetched, Repository, fetch_all, list_files

# task: folder, and the file's split by the workflow's. SQuAD, when it trains XQuAD, has one folder.
FOLDERS = {
    "xnli": ("{language}", {"train": "train", "test": "test"}),
    "xquad": ("xquad.{language}", {"train": "validation", "test": "validation"}),
    "squad": ("plain_text", {"train": "train"}),
}


@contextmanager
def downloaded_task(
    task: str,
    where: Repository,
    language: str,
    split: str,
    rows: dict[str, int | None],
    out: str | os.PathLike,
) -> Iterator[tuple[Path, list[Fetched]]]:
    """Download the one Parquet file of a language and split: its path while the body runs, and what was fetched.

    ``task`` is a key of ``FOLDERS``; ``rows``: how many rows the file of a split must have. What is fetched lies
    beside ``out`` until the body has ended. The Hub's own errors pass. ValueError if the data set has no such file, or
    several, or another number of rows.
    """
    folder, splits = FOLDERS[task]
    folder, start = folder.format(language=language), splits[split]
    files = [
        file
        for file in list_files(where, folder)
        if file.path.endswith(".parquet") and file.path.rsplit("/", 1)[-1].startswith(f"{start}-")
    ]
    if len(files) != 1:
        found = ", ".join(file.path for file in files) or "none"
        raise ValueError(f"{where}: one file {folder}/{start}-*.parquet was expected; found: {found}")
    beside = Path(out).with_name(f".{Path(out).name}.download")
    fetched = fetch_all(where, files, beside)
    path = beside / Path(files[0].path).name
    _check_rows(path, files[0].path, where, rows.get(start))
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
