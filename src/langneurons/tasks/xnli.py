"""XNLI: pairs of sentences as token ids, and batches of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from langneurons.models.tokenization import Template, TextEncoder
from langneurons.tasks.texts import named

if TYPE_CHECKING:
    import torch
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

SEPARATORS = ("spaced_eos", "eos")
"""What stands between premise and hypothesis; the first is the paper's."""

_FIELDS = ("premise", "hypothesis")


class Encoded(NamedTuple):
    """Examples as token ids, in the order of the table, and how many were dropped as too long."""

    examples: Dataset
    dropped: int


def encode(
    table: pa.Table, tokenizer: PreTrainedTokenizerBase, max_tokens: int, separator: str | None = SEPARATORS[0]
) -> Encoded:
    """Token ids of premise, EOS, hypothesis; examples of more than ``max_tokens`` are dropped and counted.

    ``separator``: ``spaced_eos``, one text in which the EOS token stands between spaces (paper's code); ``eos``, the
    token alone between the two, each tokenised by itself. The result's columns are ``id``, ``input_ids`` and
    ``labels`` (0 to 2). What the tokenizer puts around a text (BOS) is put around the whole, once. Special tokens
    spelt out in the data are plain text.

    ValueError for an unknown separator, if the tokenizer has no EOS token, or if every example is too long.
    """
    if separator not in SEPARATORS:
        raise ValueError(f"unknown separator '{separator}'; write one of: {', '.join(SEPARATORS)}")
    eos = eos_token(tokenizer)
    pairs = list(zip(table["premise"].to_pylist(), table["hypothesis"].to_pylist(), strict=True))
    form: Template | TextEncoder
    if separator == "spaced_eos":
        form = Template(tokenizer, f"{{premise}} {tokenizer.eos_token} {{hypothesis}}", _FIELDS, "the separator")
    else:
        form = TextEncoder(tokenizer)
    ids, identities = [], table["id"].to_pylist()
    for identity, (premise, hypothesis) in zip(identities, pairs, strict=True):
        with named(f"the pair with id '{identity}'"):
            if isinstance(form, Template):
                inner = form.encode(form.fill({"premise": premise, "hypothesis": hypothesis}))
            else:
                inner = [*form.encode(premise).ids, eos, *form.encode(hypothesis).ids]
        ids.append(form.before + inner + form.after)
    columns = {"id": identities, "input_ids": ids, "labels": table["label"].to_pylist()}
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
