"""Each neuron's values of given ranks, on a CPU, compiled: a radix selection, since sorting would cost the most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from langneurons.activations.numba_kernel import compiled, in_threads, value_of, words_of

_NEURONS = 16  # whose values are laid out anew at a time: a row of them is half a line of the cache, or one
_BITS = 8  # of a key, by which one pass divides
_PLACES = 1 << _BITS


@compiled
def _narrow(keys, number, rank, shift, found):
    """Keep the keys of the place that ``rank`` falls into, by the bits above ``shift``: (how many, rank among them)."""
    counts = np.zeros(_PLACES, dtype=np.int64)
    for i in range(number):
        counts[(keys[i] >> shift) & (_PLACES - 1)] += 1
    place = 0
    while rank >= counts[place]:
        rank -= counts[place]
        place += 1
    kept = 0
    for i in range(number):
        if (keys[i] >> shift) & (_PLACES - 1) == place:
            found[kept] = keys[i]
            kept += 1
    return kept, rank


@compiled
def _select(z, shift, first, last, ranks, low, high):
    """Of neurons ``first`` to ``last`` (exclusive) the values of each rank and of the next one, into ``[ranks, D]``.

    ``z``: int16 or int32 ``[tokens, D]``, the bits of float32 once shifted.
    """
    tokens = z.shape[0]
    keys = np.empty((_NEURONS, tokens), dtype=np.uint32)
    found = np.empty(tokens, dtype=np.uint32)
    for token in range(tokens):
        row = z[token, first:last]
        for i in range(last - first):
            bits = np.int32(np.int32(row[i]) << shift)
            keys[i, token] = np.uint32(bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))) ^ np.uint32(0x80000000)
    for i in range(last - first):
        for r in range(len(ranks)):
            number, rank = _narrow(keys[i], tokens, ranks[r], np.uint32(24), found)
            for step in (16, 8, 0):
                number, rank = _narrow(found, number, rank, np.uint32(step), found)
            key, after, up_to = found[0], np.uint32(0xFFFFFFFF), 0
            for token in range(tokens):
                if keys[i, token] > key:
                    after = min(after, keys[i, token])
                else:
                    up_to += 1
            if up_to > ranks[r] + 1 or up_to == tokens:
                after = key
            low[r, first + i] = value_of(np.int32(key ^ np.uint32(0x80000000)))
            high[r, first + i] = value_of(np.int32(after ^ np.uint32(0x80000000)))


def select(values: torch.Tensor, ranks: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """The ``Selection`` of a CPU where Numba is installed, on as many threads as torch has."""
    words, shift = words_of(values)
    low, high = (np.empty((len(ranks), words.shape[1]), dtype=np.float32) for _ in range(2))
    wanted = np.array(ranks, dtype=np.int64)

    def select_columns(first: int) -> None:
        _select(words, shift, first, min(first + _NEURONS, words.shape[1]), wanted, low, high)

    in_threads(select_columns, range(0, words.shape[1], _NEURONS))
    return torch.from_numpy(low), torch.from_numpy(high)
