"""Negative log-likelihood of packed blocks, and the change that zeroed neurons make."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from langneurons.artifacts.tsv import write_tsv
from langneurons.evaluation.classification import inference
from langneurons.finite import check_finite
from langneurons.methods.mask import NeuronMask
from langneurons.progress import Progress

if TYPE_CHECKING:
    from langneurons.models.types import LanguageModel

KEYS = ("model", "method")
"""Columns of a perplexity file that say what it is of: keys of the configuration."""

COLUMNS = (
    "language",
    "zeroed",
    "neurons",
    "tokens",
    "bytes",
    "perplexity_base",
    "perplexity_zeroed",
    "change",
    "bits_per_byte_base",
    "bits_per_byte_zeroed",
)
"""The other columns of a perplexity file."""


def negative_log_likelihood(
    model: LanguageModel,
    blocks: np.ndarray | torch.Tensor,
    batch_tokens: int,
    what: str = "negative log-likelihood",
) -> tuple[float, int]:
    """(sum in nats, tokens predicted) of ``blocks`` [number, length] of token ids, without padding.

    Each block stands alone: its first token is given and not predicted, so ``number * (length - 1)`` tokens
    are. Labels are shifted once, here. Each token's loss is taken in float32 and summed in float64.
    ``batch_tokens`` bounds a forward pass; a block is never divided.

    ValueError on no block, blocks of one token, ids outside the vocabulary, or a loss that is not finite,
    naming ``what`` the sum is of and the first such block.
    """
    ids = torch.as_tensor(np.asarray(blocks)).long()
    if ids.ndim != 2 or not len(ids) or ids.shape[1] < 2:
        raise ValueError(f"blocks have the shape {tuple(ids.shape)}; give [number, length] with a length of 2 or more")
    if batch_tokens < 1:
        raise ValueError(f"batch_tokens is {batch_tokens}; write a positive number of tokens")
    embeddings: Any = model.get_input_embeddings().weight
    if int(ids.min()) < 0 or int(ids.max()) >= model.config.get_text_config().vocab_size:
        raise ValueError(
            f"blocks hold token ids from {int(ids.min())} to {int(ids.max())}; the model has "
            f"{model.config.get_text_config().vocab_size}: pack the text with this model's tokenizer"
        )
    total = torch.zeros((), dtype=torch.float64, device=embeddings.device)
    sums = []
    with inference(model), Progress(ids.numel(), "tokens", "perplexity") as done:
        for batch in ids.split(max(1, batch_tokens // ids.shape[1])):
            batch = batch.to(embeddings.device)
            logits = model(input_ids=batch, use_cache=False).logits  # [rows, length, vocabulary]
            for row, target in zip(logits, batch, strict=True):  # a row at a time: float32 of all would not fit
                loss = torch.nn.functional.cross_entropy(row[:-1].float(), target[1:], reduction="none")
                sums.append(loss.double().sum())
                total += sums[-1]
            del logits
            done(batch.numel())
    nats = float(total)
    if not math.isfinite(nats):
        check_finite([float(block) for block in sums], what, ("block",))
        check_finite(nats, what)
    return nats, ids.shape[0] * (ids.shape[1] - 1)


def perplexity_rows(
    base: Mapping[str, tuple[float, int]],
    zeroed: Mapping[str, Mapping[str, tuple[float, int]]],
    text_bytes: Mapping[str, int],
    neurons: Mapping[str, int],
) -> list[dict[str, Any]]:
    """Rows of a perplexity file (``COLUMNS``): every text by every language whose neurons are zero.

    ``base[language]`` and ``zeroed[zeroed language][language]`` are results of
    :func:`negative_log_likelihood` on the same blocks of ``language``'s text; ``text_bytes`` the UTF-8 bytes
    that those blocks stand for; ``neurons`` the number of each zeroed language's neurons. The order is that
    of ``base``, then ``zeroed``. perplexity = exp(nats / tokens); change = zeroed - base (paper,
    section 4.2); bits per byte = nats / ln 2 / bytes (the bytes include those of each block's first token).

    ValueError if a language is missing, if the two runs did not predict the same tokens, or if a perplexity is not
    finite.
    """
    rows = []
    for language, (nats, tokens) in base.items():
        for source, results in zeroed.items():
            for name, given, key in (("zeroed", results, language), ("text_bytes", text_bytes, language)):
                if key not in given:
                    raise ValueError(f"{name} has nothing of '{key}'; it has: {', '.join(given)}")
            if source not in neurons:
                raise ValueError(f"neurons has nothing of '{source}'; it has: {', '.join(neurons)}")
            changed, predicted = results[language]
            if predicted != tokens or tokens < 1 or text_bytes[language] < 1:
                raise ValueError(
                    f"'{language}' with the neurons of '{source}' zero: {predicted} tokens against {tokens} of "
                    f"{text_bytes[language]} bytes; measure both on the same text"
                )
            size = text_bytes[language] * math.log(2)
            where = f"perplexity of {language}"
            before = _perplexity(nats / tokens, where)
            after = _perplexity(changed / tokens, f"{where} with the neurons of {source} zero")
            values: tuple = (language, source, neurons[source], tokens, text_bytes[language])
            values += (before, after, after - before, nats / size, changed / size)
            rows.append(dict(zip(COLUMNS, values, strict=True)))
    return rows


def _perplexity(nats: float, where: str) -> float:
    """exp of nats per token. ValueError, saying ``where``, if that is no finite number."""
    try:
        perplexity = math.exp(nats)
    except OverflowError:
        perplexity = math.inf
    check_finite(perplexity, f"{where}, exp({nats:.6g})")
    return perplexity


def write_perplexity(path: str | os.PathLike, rows: Sequence[Mapping[str, Any]], model: str, method: str) -> None:
    """Write rows of :func:`perplexity_rows` as TSV, numbers in full precision; ``model`` and ``method`` are keys."""
    write_tsv(path, [*KEYS, *COLUMNS], [{"model": model, "method": method, **row} for row in rows])


def measure_changes(
    model: LanguageModel,
    model_path: str | os.PathLike,
    mask: NeuronMask,
    texts: Mapping[str, tuple[np.ndarray, np.ndarray]],
    site: str,
    batch_tokens: int,
) -> list[dict[str, Any]]:
    """Rows of a perplexity file: every language's text with every language's neurons at zero.

    ``model_path``: the snapshot that ``model`` was loaded from. ``texts[language]`` are its held-out blocks
    [n, block] and their bytes [n]. The run without an intervention is shared by all of the mask's languages; a
    language without neurons changes nothing and is not run again. ValueError on a mask of another model, of the
    same shape or not.
    """
    from langneurons.interventions.hook import intervene
    from langneurons.models.loading import snapshot_digest
    from langneurons.models.neurons import find_neurons

    sites = find_neurons(model)
    mask.check_model(len(sites.layers), sites.neurons_per_layer, snapshot_digest(model_path))
    what = f"negative log-likelihood ({mask.method}) of the text in "
    base = {
        language: negative_log_likelihood(model, blocks, batch_tokens, what + language)
        for language, (blocks, _) in texts.items()
    }
    zeroed = {}
    for source in mask.languages:
        neurons = mask.neurons(source)
        if not neurons:
            zeroed[source] = base
            continue
        values = {layer: np.zeros(len(indices)) for layer, indices in neurons.items()}
        with intervene(model, neurons, values, site):
            zeroed[source] = {
                language: negative_log_likelihood(
                    model, blocks, batch_tokens, f"{what}{language} with the neurons of {source} zero"
                )
                for language, (blocks, _) in texts.items()
            }
    sizes = {language: int(size.sum()) for language, (_, size) in texts.items()}
    return perplexity_rows(base, zeroed, sizes, {source: mask.count(source) for source in mask.languages})
