"""Counting one layer's z on a CPU, compiled: the histogram, the exact sums and the extremes in one pass over it.

The first call on a machine compiles for some seconds and keeps the result beside this file (where that cannot be
written, in ``~/.cache/numba``; ``NUMBA_CACHE_DIR`` names another place); later jobs load it. Without any such place it
is compiled in each process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numba
import numpy as np
import torch
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from langneurons.activations.exact_sums import HALF, LIMB_BITS, ROUNDER, ROUNDER_BITS
from langneurons.activations.sketch import BINS, QUANTA, SHIFT, ZERO_BIN
from langneurons.activations.torch_kernel import bin_table, count_on_cpu

# Neurons of one step: as many as fill the vector units; as many as have their bins, 2 KB each, in the first cache.
_SUMMED, _COUNTED = 64, 16
_TOKENS = 2048  # of one step: the second step finds their values in the second cache
_MAGNITUDES = (1 << (31 - SHIFT)) - 1  # of a key, what is not its sign
_UPPER, _MIDDLE, _LOWER = QUANTA


def compiled(function: Callable) -> Callable:
    """The function compiled, from the cache where there is one; it holds no lock, so that threads run it at once."""
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # no place for a cache can be written
        return numba.njit(nogil=True)(function)


def _cast(to: Any, bits: Any) -> Callable:
    """A function of compiled code: the same bits as another type."""

    @intrinsic
    def cast(context, value):
        def generate(context, builder, signature, arguments):
            return builder.bitcast(arguments[0], bits)

        return to(value), generate

    return cast


_float_of = _cast(types.float32, ir.FloatType())
_units_of = _cast(types.int64, ir.IntType(64))


@compiled
def value_of(key):
    """The float32 of a key; infinity of its sign for a NaN, so that no comparison loses it. Never -0."""
    value = _float_of(np.int32(key ^ ((key >> 31) & np.int32(0x7FFFFFFF))))
    if value != value:
        value = np.float32(np.inf) if key > 0 else np.float32(-np.inf)
    return value + np.float32(0)


@compiled
def _add_units(bits, tokens, limbs, neuron):
    """Add up numbers to which ROUNDER was added to ``limbs``, ``[3, D]``; ``bits``: the sum of their bits."""
    # Sums of the bits wrap around, modulo 2^64; the result fits, so the excess does as well.
    units = bits - np.int64(tokens) * np.int64(ROUNDER_BITS)
    middle = (units + (1 << (LIMB_BITS - 1))) >> LIMB_BITS
    limbs[1, neuron] += np.float64(middle) * _MIDDLE
    limbs[2, neuron] += np.float64(units - (middle << LIMB_BITS)) * _LOWER


@compiled
def _add_large(column, shift, moments, neuron):
    """Add the sums of one neuron's values, and of their squares, of which some have an upper limb."""
    for power in range(2):
        units, upper_sum = np.int64(0), 0.0
        for token in range(len(column)):
            term = np.float64(_float_of(np.int32(np.int32(column[token]) << shift)))
            if power:
                term *= term
            upper = np.rint(term / _UPPER) * _UPPER
            upper_sum += upper
            units += _units_of((term - upper) + ROUNDER)
        moments[power, 0, neuron] += upper_sum
        _add_units(units, len(column), moments[power], neuron)


@compiled
def _add_sums(z, shift, tokens, first, moments, minimum, maximum):
    """Add the sums and extremes of rows ``tokens`` (first, last) of ``_SUMMED`` neurons from ``first`` on.

    ``z``: int16 or int32 ``[tokens, D]``, the bits of float32 once shifted. Each loop over the neurons, whose number is
    a constant, becomes vector instructions.
    """
    bits = np.zeros(_SUMMED, dtype=np.int32)
    low = np.full(_SUMMED, 0x7FFFFFFF, dtype=np.int32)
    high = np.full(_SUMMED, -0x80000000, dtype=np.int32)
    sums = np.zeros(_SUMMED, dtype=np.int64)
    squares = np.zeros(_SUMMED, dtype=np.int64)
    for token in range(tokens[0], tokens[1]):
        row = z[token, first : first + _SUMMED]
        for i in range(_SUMMED):
            bits[i] = np.int32(row[i]) << shift
        for i in range(_SUMMED):  # in the order of integers, where a NaN is beyond infinity
            key = bits[i] ^ ((bits[i] >> 31) & np.int32(0x7FFFFFFF))
            low[i] = min(low[i], key)
            high[i] = max(high[i], key)
        for i in range(_SUMMED):
            wide = np.float64(_float_of(bits[i]))
            sums[i] += _units_of(wide + ROUNDER)
            squares[i] += _units_of(wide * wide + ROUNDER)
    for i in range(_SUMMED):
        neuron = first + i
        least, greatest = value_of(low[i]), value_of(high[i])
        minimum[neuron] = min(minimum[neuron], least)
        maximum[neuron] = max(maximum[neuron], greatest)
        largest = np.float64(max(-least, greatest))
        if largest * largest <= HALF:
            _add_units(sums[i], tokens[1] - tokens[0], moments[0], neuron)
            _add_units(squares[i], tokens[1] - tokens[0], moments[1], neuron)
        else:
            _add_large(z[tokens[0] : tokens[1], neuron], shift, moments, neuron)


@compiled
def _add_counts(z, shift, tokens, first, table, histogram):
    """Add the histograms of rows ``tokens`` of ``_COUNTED`` neurons from ``first`` on, as ``_add_sums``."""
    counted = np.zeros(_COUNTED * BINS, dtype=np.uint16)  # half the cache of an int32
    for token in range(tokens[0], tokens[1]):
        row = z[token, first : first + _COUNTED]
        for i in range(_COUNTED):
            key = np.uint32(np.int32(row[i]) << shift) >> np.uint32(SHIFT)
            counted[np.uint32(i) * np.uint32(BINS) + np.uint32(table[key])] += 1
    for i in range(_COUNTED):
        if counted[i * BINS + ZERO_BIN]:  # of zero, or of a magnitude so small that its upper bits are zero's
            for token in range(tokens[0], tokens[1]):
                bits = np.int32(np.int32(z[token, first + i]) << shift)
                if bits & 0x7FFFFFFF and not bits >> SHIFT & _MAGNITUDES:
                    counted[i * BINS + ZERO_BIN] -= 1
                    counted[i * BINS + ZERO_BIN + (1 if bits > 0 else -1)] += 1
    own = histogram[first * BINS : (first + _COUNTED) * BINS]
    for place in range(_COUNTED * BINS):
        own[place] += counted[place]


@cache
def _threads(number: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(number)


@cache
def _table() -> np.ndarray:
    """The bin of a float32 by its sign, exponent and leading bits of the mantissa, uint16."""
    return bin_table().numpy().astype(np.uint16)


def count(
    z: torch.Tensor, histogram: torch.Tensor, moments: torch.Tensor, minimum: torch.Tensor, maximum: torch.Tensor
) -> None:
    """The ``Kernel`` of a CPU where Numba is installed, on as many threads as torch has."""
    whole = z.shape[1] - z.shape[1] % _SUMMED  # the rest is counted by torch
    if whole < z.shape[1]:
        rest = slice(whole, None)
        count_on_cpu(z[:, rest], histogram[whole * BINS :], moments[:, :, rest], minimum[rest], maximum[rest])
    words, shift = words_of(z)
    counts, sums, table = histogram.numpy(), (moments.numpy(), minimum.numpy(), maximum.numpy()), _table()

    def count_columns(first: int) -> None:
        for token in range(0, len(words), _TOKENS):
            rows = token, min(token + _TOKENS, len(words))
            _add_sums(words, shift, rows, first, *sums)
            for column in range(first, first + _SUMMED, _COUNTED):
                _add_counts(words, shift, rows, column, table, counts)

    in_threads(count_columns, range(0, whole, _SUMMED))


def words_of(z: torch.Tensor) -> tuple[np.ndarray, np.int32]:
    """The bits of z, ``[tokens, D]`` in any float type, as integers, and the shift that makes them a float32's."""
    if z.dtype == torch.bfloat16:
        return z.contiguous().view(torch.int16).numpy(), np.int32(16)
    return z.float().contiguous().view(torch.int32).numpy(), np.int32(0)


def in_threads(work: Callable[[int], None], items: Sequence[int]) -> None:
    """Call ``work`` with each of ``items``, on as many threads as torch has."""

    def in_turn(part: Sequence[int]) -> None:
        for item in part:
            work(item)

    threads = torch.get_num_threads()
    if threads == 1 or len(items) < 2:
        in_turn(items)
    else:
        for done in [_threads(threads).submit(in_turn, items[i::threads]) for i in range(threads)]:
            done.result()
