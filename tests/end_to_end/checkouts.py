"""A checkout elsewhere, all of whose files are newer than the results, with one file edited."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from snakemake_calls import ROOT


def edited_checkout(directory: Path, file: str, old: str, new: str) -> dict[str, str]:
    """Copy this checkout to ``directory`` and replace ``old`` in its ``file``; the environment in which it is used."""
    for name in ("src", "workflow", "config", "profiles", "Snakefile", "environment.yml", "README.md"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, directory / name)
    for path in [path for path in directory.rglob("*") if path.is_file()]:
        os.utime(path)
    text = (directory / file).read_text(encoding="utf-8")
    assert old in text
    (directory / file).write_text(text.replace(old, new), encoding="utf-8")
    return os.environ | {"PYTHONPATH": str(directory / "src")}
