"""Where model snapshots come from: the Hub, a directory of the user, or pretraining (see demo)."""

from __future__ import annotations

import os
import shutil
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from langneurons.models.loading import check_names, check_snapshot

if TYPE_CHECKING:
    from langneurons.downloads import RemoteFile, Repository

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


def import_snapshot(source: str, target: str | os.PathLike) -> None:
    """Copy the files of a local snapshot that are needed (hard links where the disk allows)."""
    folder = check_snapshot(source)
    Path(target).mkdir(parents=True, exist_ok=True)
    for file in sorted({f for pattern in PATTERNS for f in folder.glob(pattern)}):
        copy = Path(target) / file.name
        copy.unlink(missing_ok=True)
        try:
            os.link(file.resolve(), copy)
        except OSError:  # another file system, or one without hard links
            shutil.copyfile(file, copy)
    check_snapshot(target)


def snapshot_files(repository: Repository) -> list[RemoteFile]:
    """The files of a model's repository that a snapshot needs, as the Hub lists them.

    The Hub's own errors pass; ValueError if a needed file is not among them.
    """
    from langneurons.downloads import list_files

    wanted = [f for f in list_files(repository) if any(fnmatch(f.path, pattern) for pattern in PATTERNS)]
    check_names([f.path for f in wanted], str(repository))
    return wanted


def download_snapshot(repository: str, revision: str, target: str | os.PathLike, manifest: str | os.PathLike) -> None:
    """Download weights (safetensors only), tokenizer and configuration of a pinned revision; write their manifest.

    What has come lies beside ``target`` until all of it is there, so that a run that was stopped goes on where it
    was; then it is moved to ``target``, which must not exist or be empty.

    The Hub's own errors pass (:func:`langneurons.hub.hub_faults` explains them); ValueError if the repository lacks a
    file that a snapshot needs, before any is fetched, and as :func:`langneurons.downloads.fetch_all`.
    """
    from langneurons.downloads import Repository, fetch_all, write_manifest

    where = Repository("model", repository, revision)
    wanted = snapshot_files(where)
    folder = Path(target).with_name(f".{Path(target).name}.download")
    fetched = fetch_all(where, wanted, folder)
    write_manifest(manifest, fetched)
    os.replace(folder, target)
