"""Where model snapshots come from: the Hub, a directory of the user, or pretraining (see demo)."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from langneurons.models.loading import check_snapshot

# Weights by transformers' own names: some repositories hold them once more, as consolidated.safetensors.
PATTERNS = (
    "model*.safetensors",
    "model.safetensors.index.json",
    "config.json",
    "generation_config.json",
    "tokenizer*",
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


def download_snapshot(repository: str, revision: str, target: str | os.PathLike) -> None:
    """Download weights (safetensors only), tokenizer and configuration of a pinned revision.

    The Hub's own errors pass (:func:`langneurons.hub.hub_faults` explains them); ValueError if the
    repository lacks a file that a snapshot needs.
    """
    from huggingface_hub import snapshot_download

    # A pattern's * also stands for "/": folders are left out by one of their own.
    snapshot_download(
        repository,
        revision=revision,
        local_dir=str(target),
        allow_patterns=list(PATTERNS),
        ignore_patterns=["*/*"],
    )
    shutil.rmtree(Path(target) / ".cache", ignore_errors=True)
    try:
        check_snapshot(target)
    except ValueError as error:
        raise ValueError(f"{repository}@{revision}: {error}") from None
