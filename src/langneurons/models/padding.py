"""Rows of token ids as one tensor: padded after their ends to train and classify, before their starts to generate."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def pad_right(rows: Sequence[Sequence[int]], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of ids, padded after their ends: (ids, mask), each int64 [rows, longest]; the mask is 1 on real tokens."""
    longest = max(len(row) for row in rows)
    ids = torch.tensor([[*row, *[pad_id] * (longest - len(row))] for row in rows], dtype=torch.long)
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], dtype=torch.long)
    return ids, mask


def pad_left(rows: Sequence[Sequence[int]], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of ids, padded before their starts: (ids, mask), each int64 [rows, longest]; 1 is a real token."""
    ids, mask = pad_right([row[::-1] for row in rows], pad_id)
    return ids.flip(1), mask.flip(1)
