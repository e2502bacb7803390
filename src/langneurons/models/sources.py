"""Where model snapshots come from: the Hub, a directory of the user, or pretraining (see demo)."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from langneurons.models.loading import check_snapshot

PATTERNS = ("*.safetensors", "*.safetensors.index.json", "config.json", "generation_config.json", "tokenizer*", "special_tokens_map.json")


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


def download_snapshot(repository: str, revision: str, target: str | os.PathLike) -> None:
    """Download weights (safetensors only), tokenizer and configuration of a pinned revision.

    Raises ValueError that says which page to accept and which variable to set, if the repository is
    gated, or that names the repository or revision that is not there.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        snapshot_download(repository, revision=revision, local_dir=str(target), allow_patterns=list(PATTERNS))
    except GatedRepoError:
        raise ValueError(
            f"{repository} is gated: accept its terms at https://huggingface.co/{repository}, then set HF_TOKEN"
        ) from None
    except RevisionNotFoundError:
        raise ValueError(f"{repository} has no revision {revision}; check models.*.revision") from None
    except RepositoryNotFoundError:
        raise ValueError(f"{repository}: no such repository, or it is private and HF_TOKEN is not set") from None
    shutil.rmtree(Path(target) / ".cache", ignore_errors=True)
    check_snapshot(target)
