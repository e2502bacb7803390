"""Classifying sequences from their last real token, in batches of similar length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from langneurons.finite import check_finite
from langneurons.models.padding import pad_right
from langneurons.models.pooling import pooled_logits
from langneurons.progress import Progress

if TYPE_CHECKING:
    from langneurons.models.types import LanguageModel


@contextmanager
def inference(model: LanguageModel) -> Iterator[None]:
    """Evaluation mode without gradients; each module's own mode returns afterwards.

    The output head gets contiguous input: of the slice that ``logits_to_keep`` makes, torch.matmul would copy a frozen
    head, as every adapter leaves it, once per row of the batch.
    """
    training = [module for module in model.modules() if module.training]
    model.eval()
    head = model.get_output_embeddings()
    hook = None if head is None else head.register_forward_pre_hook(_contiguous)
    try:
        with torch.inference_mode():
            yield
    finally:
        if hook is not None:
            hook.remove()
        for module in training:
            module.training = True


def _contiguous(_module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return inputs[0].contiguous(), *inputs[1:]


def batches_by_length(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Indices of rows in batches of similar length, the longest first.

    A batch times its longest row is at most ``batch_tokens``, padding included; a longer row is a batch of
    its own. Longest first: a run that will not fit the memory fails at its start.
    """
    if batch_tokens < 1:
        raise ValueError(f"batch_tokens is {batch_tokens}; write a positive number of tokens")
    batches: list[list[int]] = []
    longest = 0
    for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if not batches or (len(batches[-1]) + 1) * longest > batch_tokens:
            batches.append([])
            longest = lengths[i]
        batches[-1].append(i)
    return batches


def classify(
    model: LanguageModel,
    encoded_examples: Sequence[Mapping[str, Any]],
    batch_tokens: int,
    pad_id: int,
    what: str = "the logits",
) -> np.ndarray:
    """Logits of each example, float32 [examples, labels], in the order given.

    ``encoded_examples`` have ``input_ids`` (a ``datasets.Dataset`` or a list of dictionaries). ``model`` is a
    ``...ForSequenceClassification`` of transformers or a PEFT model around one. ``batch_tokens`` bounds a
    forward pass, padding included; it and ``pad_id`` change the speed and not the logits. ``what`` is how an error
    calls the logits, so that it can name the condition.

    ValueError on no example, on one without tokens, and on a logit that is not finite, naming the first such example
    (by its ``id``, where it has one).
    """
    rows = [list(example["input_ids"]) for example in encoded_examples]
    if not rows:
        raise ValueError("no example to classify; were all of them dropped as too long?")
    if not all(rows):
        raise ValueError(f"example {next(i for i, row in enumerate(rows) if not row)} has no token")
    found: list[torch.Tensor] = []
    batches = batches_by_length([len(row) for row in rows], batch_tokens)
    with inference(model), Progress(len(rows), "examples", "classify") as done:
        for batch in batches:
            ids, mask = pad_right([rows[i] for i in batch], pad_id)
            found.append(pooled_logits(model, ids, mask).float())
            done(len(batch))
        logits = torch.cat(found).cpu().numpy()
    ordered = np.empty_like(logits)
    ordered[np.concatenate(batches)] = logits
    if not np.isfinite(ordered).all():
        names = [example.get("id", number) for number, example in enumerate(encoded_examples)]
        check_finite(ordered, what, ("example", "label"), names)
    return ordered
