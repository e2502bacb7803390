"""The 4-bit weights of a snapshot, made once: quantising at every load reads and converts all of it again.

A quantised snapshot is a directory that ``loading.load_base`` loads like any other, with the same weights bit for bit
as quantising there gives. It says which snapshot it is from: masks and adapters belong to that one.
"""

from __future__ import annotations

import os
import shutil

from langneurons.files import write_directory_atomically
from langneurons.models.checks import check_precision, check_snapshot
from langneurons.models.headers import read_json
from langneurons.models.loading import load_base, seal_snapshot, snapshot_digest
from langneurons.models.sources import PATTERNS

TOKENIZER = ("tokenizer*", "special_tokens_map.json")


def write_quantized(
    path: str | os.PathLike, target: str | os.PathLike, quantization: str, dtype: str, model_key: str = ""
) -> None:
    """Write the quantised weights of the snapshot at ``path``, and its tokenizer, whole or not at all.

    ``quantization`` (``nf4``) and ``dtype`` as of ``load_base``, for which the directory can then be used with these;
    ``model_key`` is the model's key in the configuration.
    Raises ValueError as ``load_base`` does, and if ``quantization`` is none; DiskFull if there is no space.
    """
    if quantization == "none":
        raise ValueError(f"{path}: quantization is none, so there are no quantised weights to write; write nf4")
    folder = check_snapshot(path)
    # As it was loaded, before any forward pass: on some processors that packs the weights in place, with loss.
    model = load_base(folder, "causal", quantization, dtype)
    facts = {"base_digest": snapshot_digest(folder), "quantization": quantization, "dtype": dtype}
    facts |= {"model_key": model_key}
    ready = check_precision(folder, read_json(folder / "config.json"), quantization, dtype)
    with write_directory_atomically(target, "the quantised weights") as partial:
        if not ready:
            model.save_pretrained(str(partial))
        # Weights that are quantised already, as somebody published them, stay as they are.
        patterns = PATTERNS if ready else TOKENIZER
        for file in sorted({file for pattern in patterns for file in folder.glob(pattern)}):
            shutil.copyfile(file, partial / file.name)
        seal_snapshot(partial, facts)
