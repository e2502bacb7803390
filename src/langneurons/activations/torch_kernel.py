"""Counting one layer's z with torch alone, on a CPU and on a GPU."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch

from langneurons.activations.exact_sums import HALF, LIMB_BITS, ROUNDER, ROUNDER_BITS, SUM_TOKENS
from langneurons.activations.sketch import BINS, KEY_OFFSET, LINEAR, QUANTA, SHIFT, STEPS_PER_UNIT, ZERO_BIN

# What one step works on. On a CPU it should fit the cache: measured, 2,048 x 128 values cost a quarter less each than
# 2,048 x 512, and 8 times less than 8,192 x 512. On a GPU it bounds temporary memory, about 60 bytes a value.
_CPU_TOKENS, _CPU_NEURONS = 2048, 128
_GPU_VALUES = 2**25
_SORTED_VALUES = 2**25  # of a selection, at a time


def count_on_cpu(
    z: torch.Tensor, histogram: torch.Tensor, moments: torch.Tensor, minimum: torch.Tensor, maximum: torch.Tensor
) -> None:
    """The ``Kernel`` of a CPU without Numba: torch, in pieces that fit the cache."""
    offsets = torch.arange(0, _CPU_NEURONS * BINS, BINS, dtype=torch.int32)  # where a neuron's bins begin
    table, rounder = bin_table(), torch.full((), ROUNDER, dtype=torch.float64)
    for rows in z.split(_CPU_TOKENS):
        low, high = _extremes(rows, minimum, maximum)
        # Squares up to HALF have no upper limb, and neither have their roots. Not so if either is NaN.
        small = max(-low.min().item(), high.max().item()) ** 2 <= HALF
        units = torch.empty((2, z.shape[1]), dtype=torch.int64)
        for column in range(0, z.shape[1], _CPU_NEURONS):
            own = slice(column, min(column + _CPU_NEURONS, z.shape[1]))
            part = rows[:, own].float().contiguous()
            counted = histogram[own.start * BINS : own.stop * BINS]
            counted += _counted(part, offsets[: own.stop - own.start], table)
            if small:
                wide = part.double()
                torch.sum(torch.addcmul(rounder, wide, wide).view(torch.int64), 0, out=units[1, own])
                torch.sum(wide.add_(ROUNDER).view(torch.int64), 0, out=units[0, own])
            else:
                _add_moments(part, moments[:, :, own])
        if small:
            for power in (0, 1):
                _add_units(units[power], len(rows), moments[power])


@functools.cache
def bin_table() -> torch.Tensor:
    """The bin of a float32 by its sign, exponent and MANTISSA_BITS: the small bins are unions of such, too."""
    values = (torch.arange(1 << (32 - SHIFT)) << SHIFT).to(torch.int32).view(torch.float32)
    return _bins(values).add_(ZERO_BIN)


def _counted(part: torch.Tensor, offsets: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Histograms of float32 ``[tokens, D]``, int32 ``[D * BINS]``."""
    key = (part.view(torch.int32) >> SHIFT).bitwise_and_((1 << (32 - SHIFT)) - 1)
    bins = table.index_select(0, key.view(-1)).view(part.shape).add_(offsets)
    counts = torch.bincount(bins.view(-1), minlength=len(offsets) * BINS)
    if counts[ZERO_BIN::BINS].any():  # of zero, or of a magnitude so small that its key is zero's
        bins = _bins(part).add_(offsets + ZERO_BIN)
        counts = torch.bincount(bins.view(-1), minlength=len(counts))
    return counts.int()


def count_on_gpu(
    z: torch.Tensor, histogram: torch.Tensor, moments: torch.Tensor, minimum: torch.Tensor, maximum: torch.Tensor
) -> None:
    """The ``Kernel`` of a GPU without Triton: torch, never waiting for the device."""
    neurons = z.shape[1]
    zeros = torch.arange(ZERO_BIN, neurons * BINS, BINS, dtype=torch.int32, device=z.device)
    one = torch.ones((), dtype=torch.int32, device=z.device)
    for part in z.split(max(1, min(SUM_TOKENS, _GPU_VALUES // neurons))):
        part = part.float().contiguous()
        _extremes(part, minimum, maximum)
        bins = _bins(part).add_(zeros).view(-1)
        histogram.scatter_add_(0, bins.long(), one.expand(len(bins)))
        _add_moments(part, moments)


def select(values: torch.Tensor, ranks: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """The ``Selection`` of any device: by sorting."""
    low, high = (torch.empty((len(ranks), values.shape[1]), device=values.device) for _ in range(2))
    width = max(1, _SORTED_VALUES // len(values))
    for column in range(0, values.shape[1], width):
        ordered = values[:, column : column + width].t().float().contiguous().sort(1).values
        for i, rank in enumerate(ranks):
            low[i, column : column + width] = ordered[:, rank]
            high[i, column : column + width] = ordered[:, min(rank + 1, len(values) - 1)]
    return low, high


def _extremes(z: torch.Tensor, minimum: torch.Tensor, maximum: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    low, high = z.amin(0).float() + 0.0, z.amax(0).float() + 0.0  # + 0: no -0
    torch.minimum(minimum, low, out=minimum)
    torch.maximum(maximum, high, out=maximum)
    return low, high


def _bins(z: torch.Tensor) -> torch.Tensor:
    """The bin of each float32 less that of zero, int32, by its bits; in place where possible: memory is the cost."""
    bits = z.view(torch.int32)
    magnitude = bits & 0x7FFFFFFF
    # Two scales meet at 2^LOWEST, with one width in the octave above it: the lower of the two is the bin's.
    linear = magnitude.view(torch.float32) * STEPS_PER_UNIT
    linear = torch.fmin(linear, linear.new_tensor(BINS), out=linear).int().add_(1)  # fmin: a NaN has to have a bin
    key = (magnitude >> SHIFT).sub_(KEY_OFFSET).clamp_(LINEAR + 1, ZERO_BIN)
    key = torch.minimum(key, linear, out=key)
    key.clamp_(max=magnitude)  # 0 for zero; any other magnitude's bits are at least 1
    sign = torch.bitwise_right_shift(bits, 31, out=magnitude)  # 0, or -1 if negative
    return key.bitwise_xor_(sign).sub_(sign)


def _add_moments(z: torch.Tensor, moments: torch.Tensor) -> None:
    """Add the sums of z, float32 ``[tokens, D]``, and of its squares to ``moments``, ``[2, 3, D]``."""
    wide = z.double()
    for power in (0, 1):
        terms = wide * wide if power else wide
        upper = (terms / QUANTA[0]).round_().mul_(QUANTA[0])
        moments[power, 0] += upper.sum(0)
        _add_units((terms - upper).add_(ROUNDER).view(torch.int64).sum(0), len(z), moments[power])


def _add_units(bits: torch.Tensor, tokens: int, limbs: torch.Tensor) -> None:
    """Add up numbers to which ROUNDER was added to ``limbs``, ``[3, D]``; ``bits``: the sums of their bits, int64."""
    # Sums of the bits wrap around, modulo 2^64; the result fits, so the excess does as well.
    excess = (tokens * ROUNDER_BITS + 2**63) % 2**64 - 2**63
    units = bits - excess
    middle = (units + (1 << (LIMB_BITS - 1))) >> LIMB_BITS
    limbs[1] += middle.double() * QUANTA[1]
    limbs[2] += (units - (middle << LIMB_BITS)).double() * QUANTA[2]
