"""The 4-bit weights of a snapshot, made once: quantising at every load reads and converts all of it again.

A quantised snapshot is a directory that ``loading.load_base`` loads like any other, with the same weights bit for bit
as quantising there gives. It says which snapshot it is from: masks and adapters belong to that one.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from langneurons.files import telling_of_a_full_disk
from langneurons.models.checks import check_snapshot
from langneurons.models.loading import ORIGIN, load_base, snapshot_digest

TOKENIZER = ("tokenizer*", "special_tokens_map.json")


def write_quantized(path: str | os.PathLike, target: str | os.PathLike, quantization: str, dtype: str) -> None:
    """Write the quantised weights of the snapshot at ``path``, and its tokenizer, whole or not at all.

    ``quantization`` (``nf4``) and ``dtype`` as of ``load_base``, for which the directory can then be used with these.
    Raises ValueError as ``load_base`` does, and if ``quantization`` is none; DiskFull if there is no space.
    """
    if quantization == "none":
        raise ValueError(f"{path}: quantization is none, so there are no quantised weights to write; write nf4")
    folder, target = check_snapshot(path), Path(target)
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    # As it was loaded, before any forward pass: on some processors that packs the weights in place, with loss.
    model = load_base(folder, "causal", quantization, dtype)
    origin = {"base_digest": snapshot_digest(folder), "quantization": quantization, "dtype": dtype}
    try:
        with telling_of_a_full_disk(target, "the quantised weights", "none are left there"):
            model.save_pretrained(str(partial))
            for file in sorted({file for pattern in TOKENIZER for file in folder.glob(pattern)}):
                shutil.copyfile(file, partial / file.name)
            (partial / ORIGIN).write_text(json.dumps(origin, sort_keys=True) + "\n", encoding="utf-8")
            if target.exists():
                shutil.rmtree(target)
            os.replace(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
