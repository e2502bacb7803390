"""Sealed directories: a file beside the others says what the directory is, with the SHA-256 of every file.

The seal is ``langneurons.json``: the facts, ``files`` (name -> SHA-256) and ``sha256``, the checksum of the rest of the
seal. Markdown files are left out, since a person may edit a model card, and so are hidden files.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from langneurons.artifacts.facts import AGAIN, ArtifactError, block, compare, parse_block

SEAL = "langneurons.json"


def seal_directory(folder: str | os.PathLike, kind: str, facts: Mapping[str, Any]) -> None:
    """Write the seal of a directory that holds all its files: call it last, before the directory gets its name.

    ValueError for facts that are no JSON values.
    """
    content = json.loads(block(kind, facts))
    content["files"] = {name: file_digest(Path(folder) / name) for name in _sealed(Path(folder))}
    content["sha256"] = _own_digest(content)
    (Path(folder) / SEAL).write_text(_text(content), encoding="utf-8")


def is_sealed(folder: str | os.PathLike) -> bool:
    """Whether the directory has a seal: a person's own directory has none."""
    return (Path(folder) / SEAL).is_file()


def open_directory(
    folder: str | os.PathLike,
    kind: str,
    expected: Mapping[str, Any] | None = None,
    names: Collection[str] | None = None,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Verify a sealed directory and compare its facts with ``expected``: (facts, name -> SHA-256 of its files).

    With ``names``, of the files only these are read: a job that needs a tokenizer alone reads no weights.

    ArtifactError, naming the file, for a seal or a file that is missing, damaged or additional, for another kind, and
    for facts that differ. Each file is read once per process.
    """
    folder = Path(folder)
    seal = folder / SEAL
    if not seal.is_file():
        raise ArtifactError(f"{folder}: does not say what it is (no {SEAL}); {AGAIN}")
    try:
        text = seal.read_text(encoding="utf-8")
        content = json.loads(text)
    except ValueError as error:
        raise ArtifactError(f"{seal}: is damaged ({error}); delete {folder} and run snakemake again") from None
    if not isinstance(content, dict) or content.get("sha256") != _own_digest(content) or text != _text(content):
        raise ArtifactError(f"{seal}: is damaged: its checksum is wrong; delete {folder} and run snakemake again")
    facts = parse_block(folder, json.dumps({k: v for k, v in content.items() if k not in ("files", "sha256")}), kind)
    compare(folder, facts, expected)
    files, found = content["files"], _sealed(folder)
    for name in sorted(set(files) ^ set(found)):
        if name not in files:
            raise ArtifactError(f"{folder / name}: was not written with the others; take it out of {folder}")
        raise ArtifactError(f"{folder / name}: is missing; delete {folder} and run snakemake again")
    for name, digest in files.items():
        if names is not None and name not in names:
            continue
        if file_digest(folder / name) != digest:
            raise ArtifactError(
                f"{folder / name}: is damaged: {SEAL} has another SHA-256; delete {folder} and run snakemake again"
            )
    return facts, files


def file_digest(path: str | os.PathLike) -> str:
    """SHA-256 (hex) of a file; a file that has not changed is read once per process."""
    stat = os.stat(path)
    return _file_digest(os.path.abspath(path), stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


@lru_cache(maxsize=1024)
def _file_digest(path: str, *_identity: int) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sealed(folder: Path) -> list[str]:
    """Names, relative to the directory, of the files that a seal covers."""
    files = (file for file in folder.rglob("*") if file.is_file())
    names = (file.relative_to(folder) for file in files)
    return sorted(
        name.as_posix()
        for name in names
        if name.as_posix() != SEAL and name.suffix != ".md" and not any(part.startswith(".") for part in name.parts)
    )


def _text(content: Mapping[str, Any]) -> str:
    """The one way to write a seal: what differs in a space, or in the spelling of a number, is damaged too."""
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _own_digest(content: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in content.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
