"""Examples as token ids: what is too long is dropped, and counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

IGNORED = -100
"""The label of a position that has no part in the loss."""


class Encoded(NamedTuple):
    """Examples as token ids, in the order of the table, and how many were dropped as too long."""

    examples: Dataset
    dropped: int


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
