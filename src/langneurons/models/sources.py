"""Where model snapshots come from: the Hub, a directory of the user, or pretraining (see demo)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from langneurons.files import write_directory_atomically
from langneurons.models.checks import check_config, check_files, check_names
from langneurons.models.loading import seal_snapshot

if TYPE_CHECKING:
    from langneurons.hub.downloads import RemoteFile, Repository

FICLONE = 0x40049409  # linux/fs.h: share the blocks of a file until one of the two is written to
# Weights by transformers' own names: some repositories hold them once more, as consolidated.safetensors.
PATTERNS = (
    "model*.safetensors",
    "model.safetensors.index.json",
    "config.json",
    "generation_config.json",
    "tokenizer*.json",
    "tokenizer.model",
    "special_tokens_map.json",
)


def snapshot_sources(source: str | os.PathLike) -> list[str]:
    """The files of a local snapshot that are needed, or ``source`` if it is no directory. Light: nothing is read."""
    files = {f for pattern in PATTERNS for f in Path(source).glob(pattern) if f.is_file()}
    return sorted(str(file) for file in files) or [str(source)]


def import_snapshot(
    source: str | os.PathLike, target: str | os.PathLike, needs: Mapping | None = None, model_key: str = ""
) -> None:
    """Copy the files of a local snapshot that are needed, whole or not at all, checked before and after.

    Copies share no bytes with the originals, except where the file system keeps them apart on writing (reflinks): a
    file that is changed in place later changes nothing here. ``model_key`` is the model's key in the configuration, a
    fact of the snapshot. ValueError as ``check_files``.
    """
    check_files(source, needs)
    with write_directory_atomically(target, "the snapshot") as partial:
        for file in snapshot_sources(source):
            _copy(file, partial / Path(file).name)
        check_files(partial)  # a file may have changed meanwhile
        seal_snapshot(partial, {"model_key": model_key})


def _copy(source: str | os.PathLike, target: str | os.PathLike) -> None:
    try:
        import fcntl

        with open(source, "rb") as original, open(target, "wb") as copy:
            fcntl.ioctl(copy, FICLONE, original.fileno())
    except (ImportError, OSError):  # a file system without reflinks
        shutil.copyfile(source, target)


def snapshot_files(repository: Repository) -> list[RemoteFile]:
    """The files of a model's repository that a snapshot needs, as the Hub lists them.

    The Hub's own errors pass; ValueError if a needed file is not among them.
    """
    from langneurons.hub.downloads import list_files

    wanted = [f for f in list_files(repository) if any(fnmatch(f.path, pattern) for pattern in PATTERNS)]
    check_names([f.path for f in wanted], str(repository))
    return wanted


def download_snapshot(
    repository: str,
    revision: str,
    target: str | os.PathLike,
    manifest: str | os.PathLike,
    needs: Mapping | None = None,
    model_key: str = "",
) -> None:
    """Download weights (safetensors only), tokenizer and configuration of a pinned revision; write their manifest.

    What has come lies beside ``target`` until all of it is there, so that a run that was stopped goes on where it
    was; then it is moved to ``target``, which must not exist or be empty. config.json comes and is checked first: a
    model that cannot be used is refused before its weights are fetched. ``model_key`` as of ``import_snapshot``.

    The Hub's own errors pass (:func:`langneurons.hub.errors.hub_faults` explains them); ValueError if the repository
    lacks a file that a snapshot needs, before any is fetched, as :func:`langneurons.hub.downloads.fetch_all`, and as
    ``check_files``, with ``needs``.
    """
    from langneurons.hub.downloads import Repository, fetch, fetch_all, write_manifest

    where = Repository("model", repository, revision)
    wanted = snapshot_files(where)
    folder = Path(target).with_name(f".{Path(target).name}.download")
    folder.mkdir(parents=True, exist_ok=True)
    for file in wanted:
        if file.path == "config.json":
            fetch(where, file, folder / file.path)
            check_config(folder, needs)
    fetched = fetch_all(where, wanted, folder)
    check_files(folder, needs)
    write_manifest(manifest, fetched)
    seal_snapshot(folder, {"model_key": model_key})
    os.replace(folder, target)
