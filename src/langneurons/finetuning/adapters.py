"""Adapters on disk: ordinary PEFT directories, the same bytes for the same weights.

A masked lora_B or lora_A is laid out in full, zero in what does not exist, so plain ``PeftModel.from_pretrained`` loads
an adapter without this library and gives the same logits.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from peft.tuners.lora.layer import LoraLayer

from langneurons.artifacts.directories import SEAL, open_directory, seal_directory
from langneurons.artifacts.facts import compare
from langneurons.files import write_directory_atomically
from langneurons.finetuning.masked_lora import ADAPTER, masked_layers
from langneurons.finite import check_finite

if TYPE_CHECKING:
    from peft import PeftModel

PREFIX = "base_model.model."
WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
METADATA = SEAL
KIND = "adapter"
CARD = "README.md"


def save_adapter(peft_model: PeftModel, directory: str | os.PathLike, metadata: dict, card: str | None = None) -> None:
    """Write the adapter to ``directory``, whole or not at all; what stood there before is replaced.

    ``metadata`` (JSON values: mask digest, method, languages, base digest, hyper-parameters) goes into the weights'
    header and into ``langneurons.json`` beside them. Its ``base_model`` is the base's name, never a path;
    ``base_repository`` and ``base_revision``, or the name where there are none, tell PEFT which base to load. ``card``
    is the text of README.md. The bytes depend on the weights, the metadata and the card alone.

    Raises ValueError if ``base_model`` is missing or a path, or for a weight that is not finite; DiskFull if there is
    no space; then nothing is left.
    """
    name = metadata.get("base_model")
    if not isinstance(name, str) or not name or name.startswith((".", "~", "/")) or os.path.isabs(name):
        raise ValueError(f"metadata: base_model is {name!r}; write the model's name, as llama-3.1-8b, not a path")
    facts_json = json.dumps(metadata, sort_keys=True, ensure_ascii=False)
    config = adapter_config(peft_model, metadata.get("base_repository") or name, metadata.get("base_revision"))
    tensors = adapter_tensors(peft_model)
    _check_weights(tensors, directory)
    kept = "none is left there, and training's last checkpoint stays"
    with write_directory_atomically(directory, "the adapter", kept) as partial:
        _write_safetensors(tensors, partial / WEIGHTS, {"format": "pt", "langneurons": facts_json})
        _write_json(partial / CONFIG, config)
        if card is not None:
            (partial / CARD).write_text(card, encoding="utf-8")
        seal_directory(partial, KIND, metadata)


def load_adapter(
    base: torch.nn.Module,
    directory: str | os.PathLike,
    base_digest: str | None = None,
    expected: Mapping[str, Any] | None = None,
) -> PeftModel:
    """Put the adapter in ``directory`` on ``base`` by plain PEFT; evaluation mode, nothing trains.

    ``base_digest``: of the snapshot that ``base`` was loaded from; ``expected``: further metadata that the adapter must
    have (``base_model``, ``task``, ``finetuning``, ``quantization``, ``dtype``, ``settings``, ``seed``).

    Raises ValueError if the directory holds no adapter, one whose files are damaged or not those that were written
    with it, one for another kind of model or another snapshot, one that is not the expected one, or one with a weight
    that is not finite.
    """
    from peft import PeftModel

    missing = [name for name in (CONFIG, WEIGHTS) if not (Path(directory) / name).is_file()]
    if missing:
        raise ValueError(f"{directory}: the adapter lacks {' and '.join(missing)}; fine-tune it again")
    facts, _ = open_directory(directory, KIND)
    if base_digest is not None:
        _check_base(directory, facts, base_digest)
    compare(directory, facts, expected)
    held = _read_weights(directory)
    _check_weights(held, directory)
    model = PeftModel.from_pretrained(base, str(directory), is_trainable=False)
    wanted = set(adapter_tensors(model))
    if set(held) != wanted:
        odd = sorted(set(held) ^ wanted)[0]
        raise ValueError(f"{directory}: the adapter belongs to another model or task ({odd} has no counterpart)")
    return model.eval()


def trained_with(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Of a fine-tuning's settings those that its weights depend on, as the adapter's metadata hold them."""
    return {name: value for name, value in settings.items() if name != "validation"}


def adapter_tensors(peft_model: PeftModel) -> dict[str, torch.Tensor]:
    """The adapter's tensors on the CPU by PEFT's names, every lora_A ``[r, in_features]`` and lora_B
    ``[out_features, r]`` in full."""
    from peft import get_peft_model_state_dict

    tensors = get_peft_model_state_dict(peft_model, adapter_name=ADAPTER, save_embedding_layers=False)
    for name, layer in masked_layers(peft_model).items():
        tensors[f"{name}.lora_A.weight"] = layer.dense_a(ADAPTER)
        tensors[f"{name}.lora_B.weight"] = layer.dense_b(ADAPTER)
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}


def adapter_config(peft_model: PeftModel, base_model: str, revision: str | None = None) -> dict:
    """PEFT's configuration as JSON values: lists sorted, masked layers by their full names, no path."""
    masked = {name.removeprefix(PREFIX) for name in masked_layers(peft_model)}
    adapted = {n.removeprefix(PREFIX) for n, module in peft_model.named_modules() if isinstance(module, LoraLayer)}
    config = peft_model.peft_config[ADAPTER].to_dict()
    config = {key: sorted(value) if isinstance(value, set) else value for key, value in config.items()}
    config["target_modules"] = _short_names(peft_model, adapted - masked) + sorted(masked)
    config["modules_to_save"] = sorted(set(config["modules_to_save"])) if config["modules_to_save"] else None
    config["base_model_name_or_path"] = base_model
    config["revision"] = revision
    config["inference_mode"] = True
    return config


def _short_names(peft_model: PeftModel, adapted: set[str]) -> list[str]:
    """The last parts of the modules' names, by which PEFT finds them; full names where others have the same part."""
    short = {name.rpartition(".")[2] for name in adapted}
    every = {n.removeprefix(PREFIX) for n, module in peft_model.named_modules() if hasattr(module, "weight")}
    taken = {name.rpartition(".")[2] for name in every - adapted} & short
    return sorted(short - taken) + sorted(name for name in adapted if name.rpartition(".")[2] in taken)


def _check_base(directory: str | os.PathLike, facts: Mapping[str, Any], digest: str) -> None:
    trained_on = facts.get("base_digest")
    if trained_on is None:
        raise ValueError(f"{directory}: does not say which base the adapter belongs to; fine-tune it again")
    if trained_on != digest:
        raise ValueError(
            f"{directory}: the adapter was trained on snapshot {trained_on[:12]}, the model is {digest[:12]}; "
            "fine-tune this snapshot"
        )


def _read_weights(directory: str | os.PathLike) -> dict[str, torch.Tensor]:
    """The tensors in the adapter's file. ValueError naming it if it cannot be read."""
    from peft.utils import load_peft_weights
    from safetensors import SafetensorError

    try:
        return load_peft_weights(str(directory), device="cpu")
    except (SafetensorError, OSError, ValueError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{Path(directory) / WEIGHTS}: cannot be read ({said}); fine-tune again") from error


def _check_weights(tensors: Mapping[str, torch.Tensor], directory: str | os.PathLike) -> None:
    """ValueError, naming the file and the first tensor, for a weight that is not finite."""
    for name, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            advice = "fine-tune again, with a lower learning_rate if its loss was not finite"
            check_finite(tensor.float().numpy(), f"{Path(directory) / WEIGHTS}: {name}", advice=advice)


def _write_json(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_safetensors(tensors: dict[str, torch.Tensor], path: Path, metadata: dict[str, str]) -> None:
    """Write a safetensors file whose header is sorted: the library orders the metadata by chance, run to run."""
    from safetensors.torch import save

    content = save(tensors, metadata)
    size = int.from_bytes(content[:8], "little")  # the format: header length, header (JSON), data
    header = json.dumps(json.loads(content[8 : 8 + size]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.write(memoryview(content)[8 + size :])
