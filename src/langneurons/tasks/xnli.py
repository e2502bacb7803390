"""XNLI: pairs of sentences as token ids, and batches of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

if TYPE_CHECKING:
    import torch
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase


class Encoded(NamedTuple):
    """Examples as token ids, in the order of the table, and how many were dropped as too long."""

    examples: Dataset
    dropped: int


def encode(table: pa.Table, tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> Encoded:
    """Token ids of premise, EOS, hypothesis; examples of more than ``max_tokens`` are dropped and counted.

    The result's columns are ``id``, ``input_ids`` and ``labels`` (0 to 2). What the tokenizer puts around a
    text (BOS) is put around the whole, once. Special tokens spelt out in the data are plain text.

    ValueError if the tokenizer has no EOS token, or if every example is too long.
    """
    before, after = surrounding_tokens(tokenizer)
    eos = eos_token(tokenizer)
    premises = tokenize(tokenizer, table["premise"].to_pylist())
    hypotheses = tokenize(tokenizer, table["hypothesis"].to_pylist())
    ids = [before + p + [eos] + h + after for p, h in zip(premises, hypotheses, strict=True)]
    columns = {"id": table["id"].to_pylist(), "input_ids": ids, "labels": table["label"].to_pylist()}
    return keep_short(columns, ids, max_tokens)


def collate(batch: Sequence[Mapping[str, Any]], pad_id: int) -> dict[str, torch.Tensor]:
    """Right-padded ``input_ids`` and ``attention_mask`` [batch, longest], and ``labels`` [batch]; all int64."""
    import torch

    ids, mask = pad_right([example["input_ids"] for example in batch], pad_id)
    labels = torch.tensor([int(example["labels"]) for example in batch], dtype=torch.long)
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def pad_right(rows: Sequence[Sequence[int]], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of ids, padded after their ends: (ids, mask), each int64 [rows, longest]; the mask is 1 on real tokens."""
    import torch

    longest = max(len(row) for row in rows)
    ids = torch.tensor([[*row, *[pad_id] * (longest - len(row))] for row in rows], dtype=torch.long)
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], dtype=torch.long)
    return ids, mask


def tokenize(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[list[int]]:
    """Token ids of each text alone: nothing is added, and a special token's name is read as plain text."""
    if not texts:
        return []
    options = {"add_special_tokens": False, "split_special_tokens": True, "return_attention_mask": False}
    return tokenizer(texts, verbose=False, **options)["input_ids"]


def surrounding_tokens(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """The special tokens that a tokenizer puts before and after a text."""
    alone = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a")["input_ids"]
    for start in range(len(whole) - len(alone) + 1):
        if whole[start : start + len(alone)] == alone:
            return whole[:start], whole[start + len(alone) :]
    raise ValueError(f"{tokenizer.name_or_path}: special tokens change the text between them; use another tokenizer")


def eos_token(tokenizer: PreTrainedTokenizerBase) -> int:
    """Id of the tokenizer's EOS token; ValueError if it has none."""
    if tokenizer.eos_token_id is None:
        raise ValueError(f"{tokenizer.name_or_path}: the tokenizer has no EOS token; set eos_token in its settings")
    return tokenizer.eos_token_id


def keep_short(columns: dict[str, list], ids: list[list[int]], max_tokens: int) -> Encoded:
    """The rows of ``columns`` whose ``ids`` are no longer than ``max_tokens``, as a data set in memory."""
    from datasets import Dataset

    kept = [i for i, row in enumerate(ids) if len(row) <= max_tokens]
    if not kept:
        shortest = min(map(len, ids), default=0)
        raise ValueError(f"no example has at most {max_tokens} tokens (the shortest has {shortest}); raise max_tokens")
    return Encoded(Dataset.from_dict({k: [v[i] for i in kept] for k, v in columns.items()}), len(ids) - len(kept))
