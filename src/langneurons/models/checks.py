"""What is wrong with a snapshot, from config.json, the tokenizer's files and the headers of the weights alone.

These checks come at import and at download, before any job that holds a GPU: nothing is loaded, torch is not imported.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from langneurons.models.architectures import ARCHITECTURES, EXPERT_KEYS, PLACE, Architecture

NF4 = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True}


def architecture_of(path: str | os.PathLike, config: Mapping[str, Any]) -> Architecture:
    """The entry of a config.json's ``model_type``; ValueError, one line, for a model that is not known."""
    kind = config.get("model_type")
    if isinstance(kind, str) and kind in ARCHITECTURES:
        return ARCHITECTURES[kind]
    where = Path(path) / "config.json"
    if not isinstance(kind, str):
        raise ValueError(f"{where}: names no model_type; take the config.json that belongs to the weights")
    known = f"Known: {', '.join(sorted(ARCHITECTURES))}"
    nested = config.get("text_config")
    keys = {**(nested if isinstance(nested, dict) else {}), **config}
    if experts := [f"{key} = {keys[key]}" for key in EXPERT_KEYS if keys.get(key)]:
        raise ValueError(
            f"{where}: model_type {kind!r} is a mixture of experts ({experts[0]}): a token reaches some of the experts "
            f"only, so their neurons have no value at the others; use a dense model. {known}"
        )
    code = ", and the snapshot's own code (auto_map) is never run" if config.get("auto_map") else ""
    raise ValueError(
        f"{where}: model_type {kind!r} is not a known architecture{code}; use another model, or add an entry to "
        f"{PLACE}. {known}"
    )


def check_precision(path: str | os.PathLike, config: Mapping[str, Any], quantization: str, dtype: str) -> bool:
    """Whether the weights are quantised already, as ``quantization`` and ``dtype`` say.

    ValueError, which says what to write, if they are quantised in another way.
    """
    found = config.get("quantization_config")
    if not found:
        return False
    where = f"{Path(path) / 'config.json'}: quantization_config says that the weights are already quantised"
    method = found.get("quant_method") if isinstance(found, dict) else None
    if method != "bitsandbytes" or any(found.get(key) != value for key, value in NF4.items()):
        raise ValueError(
            f"{where} (by {method}, not as nf4 with double quantisation); use the unquantised model, and for 4-bit "
            "weights write quantization: nf4 in the model's section"
        )
    held = str(found.get("bnb_4bit_compute_dtype", "float32")).removeprefix("torch.")
    if (quantization, dtype) != ("nf4", held):
        wanted = f"quantization: nf4 and dtype: {held}" if held in ("float32", "bfloat16") else "quantization: none"
        advice = f"write {wanted} in the model's section, or " if "nf4" in wanted else ""
        raise ValueError(f"{where} as nf4, {held}, not {quantization}, {dtype}; {advice}use the unquantised model")
    return True


def check_classifier(path: str | os.PathLike, config: Mapping[str, Any], entry: Architecture, task: str) -> None:
    """ValueError for a classification model of an architecture of which transformers has none."""
    if task == "classification" and not entry.classifier:
        raise ValueError(
            f"{Path(path) / 'config.json'}: transformers has no classification model of model_type "
            f"{config['model_type']!r}; run another model on XNLI, or this one on XQuAD alone"
        )
