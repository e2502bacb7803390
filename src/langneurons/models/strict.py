"""A model is loaded whole or not at all: what transformers would fill in, leave out or convert without a word."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from langneurons.models.headers import FLOATS, Tensor

if TYPE_CHECKING:
    import torch

NEW_HEAD = "score."  # of a classifier: drawn here, and trained in full
UNUSED_HEAD = ("lm_head.", "model.lm_head.", "embed_out.")  # of the language model, which a classifier does not have
# What bitsandbytes stores beside a 4-bit weight, with double quantisation.
NF4_PARTS = (".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map", ".quant_state.bitsandbytes__nf4")
# What compilers, parallel training and PEFT put before every name; "transformer." is a model's own in some families.
PREFIXES = ("base_model.model.", "_orig_mod.", "module.", "transformer.")


def check_whole(path: str | os.PathLike, info: Mapping[str, Any], task: str) -> None:
    """Refuse a model that was not loaded whole, by the loading information that ``from_pretrained`` gives.

    Allowed are a classifier's new head and the language model's head that it has no use for; tied weights and buffers
    that are computed, transformers itself leaves out of ``info``. ValueError names the first tensor of each kind.
    """
    classifier = task == "classification"
    missing = sorted(name for name in info["missing_keys"] if not (classifier and name.startswith(NEW_HEAD)))
    unexpected = sorted(n for n in info["unexpected_keys"] if not (classifier and n.startswith(UNUSED_HEAD)))
    mismatched = sorted(info["mismatched_keys"])
    if prefix := added_prefix(unexpected, missing):
        raise ValueError(prefixed(path, prefix, unexpected[0]))
    faults = []
    if missing:
        faults.append(f"lacks {len(missing)} of the model's tensors ({missing[0]} is the first)")
    if unexpected:
        faults.append(f"holds {len(unexpected)} tensors that the model does not have ({unexpected[0]} is the first)")
    if mismatched:
        name, held, expected = mismatched[0]
        faults.append(
            f"holds {len(mismatched)} tensors of another shape ({name} is the first: {list(held)}, "
            f"the model's is {list(expected)})"
        )
    if faults:
        raise ValueError(
            f"{path}: the snapshot {'; it '.join(faults)}. Its weights do not belong to its config.json, or are not "
            "whole: get the snapshot again"
        )


def prefixed(path: str | os.PathLike, prefix: str, name: str) -> str:
    """The message about names of tensors that begin with a prefix too many."""
    return (
        f"{path}: the names of its tensors begin with '{prefix}' ({name}), so none is a weight of the model; write the "
        f"snapshot again with '{prefix}' stripped from the names"
    )


def added_prefix(unexpected: Iterable[str], missing: Iterable[str]) -> str:
    """What the first unexpected name has before a missing one, or a known prefix; "" if there is neither."""
    first, missing = next(iter(unexpected), ""), set(missing)
    ends = [i + 1 for i, character in enumerate(first) if character == "." and first[i + 1 :] in missing]
    if ends:
        return first[: ends[0]]
    return next((prefix for prefix in PREFIXES if first.startswith(prefix)), "") if missing else ""


def check_dtypes(path: str | os.PathLike, tensors: Mapping[str, Tensor], quantized: bool = False) -> None:
    """ValueError for weights that are no floating-point numbers: they would be converted as if they were.

    With ``quantized`` (4-bit weights of bitsandbytes), for those of which not all parts are there.
    """
    wrong = sorted(n for n, tensor in tensors.items() if n.endswith(".weight") and tensor.dtype not in FLOATS)
    if quantized:
        packed = {name.removesuffix(part) for name in tensors for part in NF4_PARTS if name.endswith(part)}
        for name in sorted(packed.union(wrong)):
            if lost := [name + part for part in ("", *NF4_PARTS) if name + part not in tensors]:
                raise ValueError(f"{path}: lacks {lost[0]}, a part of a 4-bit weight; quantise the original anew")
        return
    if wrong:
        raise ValueError(
            f"{path}: {wrong[0]} has data type {tensors[wrong[0]].dtype} ({len(wrong)} such weights); only "
            f"{', '.join(FLOATS)} are loaded: use the unquantised model"
        )


def check_weights(path: str | os.PathLike, model: torch.nn.Module) -> None:
    """ValueError for 4-bit weights of another shape than their layer's, and for a parameter that is not finite.

    transformers compares the shapes of unquantised weights alone. A sum is finite only where all its terms are.
    """
    import torch

    for name, parameter in model.named_parameters():
        state = getattr(parameter, "quant_state", None)
        if state is not None:
            layer = model.get_submodule(name.rpartition(".")[0])
            expected = (layer.out_features, layer.in_features)
            if tuple(state.shape) != expected:
                raise ValueError(
                    f"{path}: {name} has shape {list(state.shape)}, the model's is {list(expected)}; its weights do "
                    "not belong to its config.json: get the snapshot again"
                )
        values = [parameter] if state is None else [state.absmax, *_nested(state)]
        for tensor in values:
            if not tensor.is_floating_point() or torch.isfinite(tensor.sum()):
                continue
            if not (finite := torch.isfinite(tensor)).all():
                count = int((~finite).sum())
                raise ValueError(
                    f"{path}: {name} holds {count} values that are not finite; the model is damaged: get it again"
                )


def _nested(state: Any) -> list:
    return [state.offset, state.state2.absmax] if state.nested else []
