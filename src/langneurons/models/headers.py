"""What the weight files of a snapshot hold, from their headers and the index alone.

Nothing is loaded and torch is not imported. A safetensors file is 8 bytes with the length of its header, the header
(JSON: name -> data type, shape, offsets) and the data; so a header also says how long its file must be.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
FLOATS = ("F64", "F32", "F16", "BF16")
_POINTER = b"version https://git-lfs"
_LONGEST = 100_000_000  # bytes of a header: the format's own limit


class Tensor(NamedTuple):
    """Data type as the format spells it (``BF16``), shape, and the file that holds the tensor."""

    dtype: str
    shape: tuple[int, ...]
    file: str


def read_json(path: str | os.PathLike) -> dict:
    """A JSON object of a snapshot; ValueError, naming the file, for anything else."""
    check_no_pointer(path)
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{path}: is no JSON ({reason}); get the file again from where the model is from") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: holds no JSON object; get the file again from where the model is from")
    return content


def check_no_pointer(path: str | os.PathLike) -> None:
    """ValueError for a file that Git LFS has left as a pointer."""
    with open(path, "rb") as file:
        if file.read(len(_POINTER)) == _POINTER:
            raise ValueError(f"{path}: is a Git LFS pointer, not the file itself; run git lfs pull in its directory")


def read_header(path: str | os.PathLike) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name. ValueError, naming the file, if it is not whole."""
    check_no_pointer(path)
    name, size = Path(path).name, os.path.getsize(path)
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        raw = file.read(length) if length <= min(size, _LONGEST) else b""
    try:
        header = json.loads(raw)
        header.pop("__metadata__", None)
        end = 8 + length + max((each["data_offsets"][1] for each in header.values()), default=0)
        tensors = {key: Tensor(each["dtype"], tuple(each["shape"]), name) for key, each in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        raise ValueError(
            f"{path}: is no whole safetensors file: its header cannot be read; get the file again"
        ) from None
    if size != end:
        raise ValueError(
            f"{path}: has {size:,} bytes and its header says {end:,}; it is "
            f"{'truncated' if size < end else 'longer than it should be'}: get the file again"
        )
    return tensors


def weight_files(folder: str | os.PathLike) -> list[Path]:
    """The weight files that a snapshot is loaded from: ``model.safetensors``, or what the index names.

    ValueError if there are neither, or a file of the index is missing.
    """
    folder = Path(folder)
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    if not (folder / INDEX).is_file():
        raise ValueError(f"{folder}: holds neither {SINGLE} nor {INDEX}, one of which a snapshot needs")
    files = [folder / name for name in sorted(set(_weight_map(folder).values()))]
    if missing := [file for file in files if not file.is_file()]:
        raise ValueError(
            f"{missing[0]}: is missing; {INDEX} names it ({len(missing)} of its {len(files)} files are missing)"
        )
    return files


def read_tensors(folder: str | os.PathLike) -> dict[str, Tensor]:
    """All tensors of a snapshot by name. ValueError where a file is not whole, or files and index differ."""
    folder = Path(folder)
    tensors: dict[str, Tensor] = {}
    for file in weight_files(folder):
        for name, tensor in read_header(file).items():
            if name in tensors:
                raise ValueError(f"{file}: holds {name}, which {tensors[name].file} holds too; remove one of the files")
            tensors[name] = tensor
    if not (folder / SINGLE).is_file():
        _check_index(folder, tensors)
    return tensors


def _weight_map(folder: Path) -> Mapping[str, str]:
    found = read_json(folder / INDEX).get("weight_map")
    if not isinstance(found, dict) or not found or not all(isinstance(file, str) for file in found.values()):
        raise ValueError(f"{folder / INDEX}: has no weight_map of tensors and files; get the file again")
    if paths := sorted({file for file in found.values() if Path(file).name != file}):
        raise ValueError(f"{folder / INDEX}: names {paths[0]}, a file outside the snapshot; write its name alone")
    return found


def _check_index(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    index = _weight_map(folder)
    lacking = sorted(n for n, file in index.items() if n not in tensors or tensors[n].file != file)
    if lacking:
        raise ValueError(
            f"{folder / index[lacking[0]]}: does not hold {lacking[0]}, which {INDEX} says it does ({len(lacking)} "
            "such tensors); get both files again, from one revision"
        )
    unlisted = sorted(n for n in tensors if n not in index and not n.endswith("inv_freq"))
    if unlisted:
        raise ValueError(
            f"{folder / tensors[unlisted[0]].file}: holds {unlisted[0]}, which {INDEX} does not list ({len(unlisted)} "
            "such tensors); get both files again, from one revision"
        )
