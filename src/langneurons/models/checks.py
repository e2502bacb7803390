"""What is wrong with a snapshot, from config.json, the tokenizer's files and the headers of the weights alone.

These checks come at import and at download, before any job that holds a GPU: nothing is loaded, torch is not imported.
"""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langneurons.experiment.condition import PRETRAINED, split_finetuning
from langneurons.models.architectures import ARCHITECTURES, EXPERT_KEYS, PLACE, Architecture
from langneurons.models.headers import Tensor, read_json, read_tensors
from langneurons.models.positions import check_attention, check_positions, check_rope, lengths_of
from langneurons.models.strict import PREFIXES, check_dtypes, prefixed
from langneurons.models.token_ids import check_end_of_text, check_token_ids, embedding_rows
from langneurons.registry import entry as registered

if TYPE_CHECKING:
    from langneurons.sections.configuration import Config

NEEDED = ("config.json", "tokenizer.json", "tokenizer_config.json")
HIDDEN = ("hidden_size", "n_embd", "n_embed", "d_model")
KEYS = ("models.", "finetuning.", "corpus.", "tasks.")  # messages that begin with a key of the configuration
NF4 = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True}


def check_snapshot(path: str | os.PathLike) -> Path:
    """The snapshot's directory; ValueError names the file that is missing."""
    folder = Path(path)
    if not folder.is_dir():
        raise ValueError(f"{path}: no such directory; a model snapshot is a directory with config.json and weights")
    check_names([file.name for file in folder.iterdir() if file.is_file()], str(path))
    return folder


def check_names(names: list[str], where: str) -> None:
    """ValueError, naming the file that is missing, if files of these names are no snapshot."""
    missing = [name for name in NEEDED if name not in names]
    if missing:
        raise ValueError(f"{where}: the snapshot lacks {', '.join(missing)}")
    if not any(name.endswith(".safetensors") for name in names):
        raise ValueError(f"{where}: the snapshot has no *.safetensors; other weight formats are not loaded")


def check_files(path: str | os.PathLike, needs: Mapping[str, Any] | None = None) -> None:
    """Refuse a snapshot that no job could use, or that what is configured (``needs``: ``needs_of``) could not.

    ValueError, one line that names the file, for: a file that is missing, not whole or a Git LFS pointer; an unknown
    architecture or an odd width of heads; positions and attention of another kind than config.json seems to say;
    tensors that are not those of the index, of as many layers as config.json says, or of a floating-point type; tokens
    outside the embedding and no end-of-text token; and, with ``needs``, weights that are quantised in another way, rows
    longer than the model's positions, and modules that fine-tuning is to adapt and the model does not have.
    """
    try:
        folder = check_snapshot(path)
        config, entry, text = check_config(folder, needs)
        tensors = read_tensors(folder)
        if not config.get("quantization_config"):
            check_dtypes(folder, tensors)
        _check_layers(folder, entry, text, tensors)
        if not config.get("quantization_config"):
            _check_widths(folder, entry, text, tensors)
        check_token_ids(folder, config, text, embedding_rows(folder, tensors))
        check_end_of_text(folder)
        if needs:
            _check_attention(folder, entry, tensors, needs)
    except OSError as error:
        raise ValueError(f"{error.filename or path}: cannot be read ({error.strerror or error})") from None


def check_config(path: str | os.PathLike, needs: Mapping[str, Any] | None = None) -> tuple[dict, Architecture, Mapping]:
    """What config.json alone says of ``check_files``. Returns its content, its entry and its language model's part."""
    folder = Path(path)
    config = read_json(folder / "config.json")
    entry = architecture_of(folder, config)
    _check_kind(folder, config, needs or {})
    text = config.get(entry.text_config) if entry.text_config else config
    text = text if isinstance(text, Mapping) else {}
    _check_heads(folder, text)
    check_attention(folder, config, text)
    check_rope(folder, text)
    if needs:
        check_positions(folder, config, text, needs["lengths"])
        check_precision(folder, config, needs["quantization"], needs["dtype"])
        check_classifier(folder, config, entry, "classification" if needs["classification"] else "causal")
        _check_targets(entry, needs)
    return config, entry, text


def unusable(snapshots: Mapping[str, tuple[str, Mapping[str, Any]]]) -> list[str]:
    """For each model's snapshot that ``check_files`` refuses (key -> directory and needs), a line that says why."""
    lines = []
    for key, (folder, needs) in sorted(snapshots.items()):
        try:
            check_files(folder, needs)
        except ValueError as error:
            lines.append(str(error) if str(error).startswith(KEYS) else f"models.{key}: {error}")
    return lines


def needs_of(settings: Config, key: str, finetunings: Mapping[tuple[str, str], list[str]]) -> dict[str, Any]:
    """What the configuration's jobs will ask of a model's snapshot, as JSON values, for ``check_files``.

    ``finetunings``: (model, task) -> names, as the tables of a run need them.
    """
    tasks = {task: names for (model, task), names in finetunings.items() if model == key}
    spec, names = settings.models[key], [name for names in tasks.values() for name in names]
    return {
        "key": key,
        "architecture": spec.architecture if spec.source == "hub" else None,
        "quantization": spec.quantization,
        "dtype": spec.dtype,
        "classification": any(_classifies(settings.tasks[task]) for task in tasks),
        "lengths": lengths_of(settings, tasks),
        "attention_targets": spec.attention_targets if any(name != PRETRAINED for name in names) else [],
        "targets": {
            task: settings.finetuning[task].targets
            for task, names in sorted(tasks.items())
            if any(split_finetuning(name)[1] for name in names)
        },
    }


def _classifies(section: Any) -> bool:
    """Whether a task's models have a classifier's head."""
    return registered("tasks", section.kind).HEAD.kind == "classification"


def _check_kind(folder: Path, config: Mapping, needs: Mapping[str, Any]) -> None:
    """ValueError where the configuration names another architecture than config.json."""
    wanted, found = needs.get("architecture"), config.get("model_type")
    if wanted is not None and wanted != found:
        raise ValueError(
            f"{folder / 'config.json'}: model_type is {found!r}, and models.{needs['key']}.architecture is {wanted!r}; "
            f"write architecture: {found}"
        )


def needs_text(settings: Config, key: str, finetunings: Mapping[tuple[str, str], list[str]]) -> str:
    """``needs_of`` as JSON."""
    return json.dumps(needs_of(settings, key, finetunings))


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
            f"{config['model_type']!r}; name other models in the tables of tasks that classify"
        )


def _check_heads(folder: Path, text: Mapping[str, Any]) -> None:
    """The width of a head is even: rotary position embeddings turn pairs of its values."""
    width = text.get("head_dim") if isinstance(text.get("head_dim"), int) else None
    heads, hidden = _first(text, "num_attention_heads", "n_head", "n_heads"), _first(text, *HIDDEN)
    where = f"{folder / 'config.json'}: "
    if width is None and heads and hidden:
        if hidden % heads:
            raise ValueError(
                f"{where}hidden_size {hidden} is no multiple of num_attention_heads {heads}; use the "
                "config.json that belongs to the weights"
            )
        width = hidden // heads
    if width is not None and (width < 1 or width % 2):
        raise ValueError(f"{where}head_dim is {width}; rotary position embeddings need an even one: use another model")


def _check_layers(folder: Path, entry: Architecture, text: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    first = min(tensors, default="")
    for prefix in PREFIXES:
        with_it = sorted(name for name in tensors if name.startswith(prefix))
        if with_it and prefix != f"{entry.base}.":
            raise ValueError(prefixed(folder, prefix, with_it[0]))
    gate = _gate(entry)
    found = _layers_with(entry, gate, tensors)
    number = _first(text, "num_hidden_layers", "n_layer", "n_layers")
    if not found:
        raise ValueError(
            f"{folder}: its weights have no layer with {gate}, as {text.get('model_type', 'the')} models do (the first "
            f"tensor is {first or 'none'}); they do not belong to its config.json: get the snapshot again"
        )
    number = max(found) + 1 if number is None else number
    lacking = next(layer for layer in itertools.count() if layer not in found)
    if lacking < number or max(found) >= number:
        wrong = f"lack layer {lacking}" if lacking < number else f"hold layer {max(found)}"
        raise ValueError(
            f"{folder}: config.json says {number} layers, and the weights {wrong}; they do not belong together: get "
            "the snapshot again"
        )


def _check_widths(folder: Path, entry: Architecture, text: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """The gates have the shape that config.json says: d_ff, with a fused up projection twice, by the hidden size."""
    hidden, width = _first(text, *HIDDEN), _first(text, entry.width) if entry.width else None
    rows = None if width is None else width * (2 if entry.structure == "fused" else 1)
    for name, tensor in sorted(tensors.items()):
        if not name.endswith(f".{_gate(entry)}.weight") or "vision" in name or len(tensor.shape) != 2:
            continue
        for says, key, found in ((rows, entry.width, tensor.shape[0]), (hidden, "hidden_size", tensor.shape[1])):
            if says is not None and says != found:
                raise ValueError(
                    f"{folder}: by {key} in config.json {name} has {says}, and it has shape {list(tensor.shape)}; they "
                    "do not belong together: get the snapshot again"
                )


def _check_attention(
    folder: Path, entry: Architecture, tensors: Mapping[str, Tensor], needs: Mapping[str, Any]
) -> None:
    """The modules of attention that fine-tuning is to adapt are in every layer."""
    targets = needs["attention_targets"]
    layers = _layers_with(entry, _gate(entry), tensors)
    for target in entry.attention_targets if targets is None else targets:
        if lacking := sorted(layers - _layers_with(entry, f"{entry.attention}.{target}", tensors)):
            raise ValueError(
                f"models.{needs['key']}.attention_targets: layer {lacking[0]}'s attention of the model in {folder} has "
                f"no {target}; write some of {', '.join(entry.attention_targets)}, or null for all of them"
            )


def _check_targets(entry: Architecture, needs: Mapping[str, Any]) -> None:
    """The modules whose neurons fine-tuning is to train are modules of their own."""
    for task, names in needs["targets"].items():
        if entry.structure != "gated" and (odd := [name for name in names if name != "down_proj"]):
            raise ValueError(
                f"finetuning.{task}.targets: the feed-forward layers of models.{needs['key']} are {entry.structure}, "
                f"without {' and '.join(odd)} of their own; write [down_proj], or use a model with a gate_proj"
            )


def _gate(entry: Architecture) -> str:
    return f"{entry.mlp}.{entry.gate}" if entry.mlp else entry.gate


def _layers_with(entry: Architecture, module: str, tensors: Mapping[str, Tensor]) -> set[int]:
    """The layers of the decoder whose weights include those of a module."""
    layers = entry.layers.rpartition(".")[2]
    pattern = re.compile(rf"(?:^|\.){re.escape(layers)}\.(\d+)\.{re.escape(module)}\.weight$")
    return {int(match[1]) for name in tensors if "vision" not in name and (match := pattern.search(name))}


def _first(text: Mapping[str, Any], *keys: str) -> int | None:
    """The first of these keys' values that is a number: architectures spell them differently."""
    return next((text[key] for key in keys if isinstance(text.get(key), int) and text[key] > 0), None)
