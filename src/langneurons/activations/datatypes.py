"""Which values a data type has in a bin: what stands for a bin depends on the data type that was counted.

A float32 can lie anywhere in a bin: its middle stands for it, and values are taken as spread evenly. A bfloat16 has
seven mantissa bits, so a bin of relative width holds four of its values, at 0, 1/4, 1/2 and 3/4 of the width from the
edge nearer to zero: their mean is at 3/8, and the middle would be too large by an eighth of a bin. Bins below 2^-4 are
all of one width and hold from 8 values to all the small ones.

A recorded bfloat16 stands for the numbers that round to it. Taking those as spread evenly over a bin gives each of four
values a quarter, a value at a power of two three quarters of the next one's share (numbers below it lie closer), and
the many values next to zero the little that each of them covers.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from langneurons.activations.sketch import BINS, DTYPES, LOWER, UPPER, ZERO_BIN

if TYPE_CHECKING:
    from collections.abc import Callable

_TINY = 2.0**-133  # the least positive bfloat16, and the distance between those next to zero
_LARGEST = (2 - 2.0**-7) * 2.0**127  # the greatest finite one

_INNER = (np.arange(BINS) > 0) & (np.arange(BINS) < BINS - 1)
# A percentile is known within 1/64 of its value or 2^-10, whatever values a bin holds.
_BOUND = np.where(_INNER, np.maximum(np.minimum(np.abs(LOWER), np.abs(UPPER)) / 64, 2.0**-10), np.inf)


class Float32:
    """Values anywhere in a bin."""

    def __init__(self) -> None:
        # [BINS]; those of the open bins serve for the order only.
        self.middles = (np.maximum(LOWER, 2 * LOWER[1]) + np.minimum(UPPER, 2 * UPPER[-2])) / 2

    def at(self, bins: np.ndarray, share: np.ndarray, minimum: np.ndarray, maximum: np.ndarray) -> np.ndarray:
        """The value that stands for the one at ``share`` (0 to 1) of a bin's values in ascending order.

        ``minimum``, ``maximum``: the neuron's extremes; the value lies between them. It is the middle of what the bin
        and they allow, whatever the share: no other is within half a bin of all.
        """
        lower, upper = np.maximum(LOWER[bins], minimum), np.minimum(UPPER[bins], maximum)
        return lower + (upper - lower) / 2

    def above(self, bins: np.ndarray, thresholds: np.ndarray, minimum: np.ndarray, maximum: np.ndarray) -> np.ndarray:
        """Which share of the values in a threshold's own bin (``bins``) lies above it."""
        lower, upper = np.maximum(LOWER[bins], minimum), np.minimum(UPPER[bins], maximum)
        width = upper - lower
        part = np.divide(upper - thresholds, width, out=(upper > thresholds).astype(np.float64), where=width > 0)
        return np.clip(part, 0, 1)


class BFloat16:
    """Four values in a bin of relative width, more in those next to zero."""

    def __init__(self) -> None:
        inner = LOWER[ZERO_BIN + 1 :]
        first = np.maximum(inner, _TINY)
        outer = UPPER[ZERO_BIN + 1 : -1]
        last = np.append(outer - 2 * _half_steps(outer)[0], _LARGEST)
        # [BINS]: the least and the greatest value of each bin.
        self.first = np.concatenate([-last[::-1], [0.0], first])
        self.last = np.concatenate([-first[::-1], [0.0], last])
        magnitudes = (np.arange(1, 0x7F80, dtype=np.uint32) << 16).view(np.float32).astype(np.float64)
        bins = np.searchsorted(inner, magnitudes, side="right") - 1
        weights = sum(_half_steps(magnitudes))
        means = np.bincount(bins, weights * magnitudes) / np.bincount(bins, weights)
        means[-1] = 1.5 * inner[-1]
        self.middles = np.concatenate([-means[::-1], [0.0], means])

    def at(self, bins: np.ndarray, share: np.ndarray, minimum: np.ndarray, maximum: np.ndarray) -> np.ndarray:
        """As ``Float32.at``: the value itself, as far as it is within the bound of all values that the bin holds."""
        low, high, start, end = self._span(bins, minimum, maximum)
        value = np.clip(_rounded(start + share * (end - start), np.rint), low, high)
        bound = _BOUND[bins]
        return np.clip(value, np.maximum(low, high - bound), np.minimum(high, low + bound))

    def above(self, bins: np.ndarray, thresholds: np.ndarray, minimum: np.ndarray, maximum: np.ndarray) -> np.ndarray:
        """As ``Float32.above``: the share of the values in the bin that are greater than the threshold."""
        low, high, start, end = self._span(bins, minimum, maximum)
        within = np.clip(thresholds, low, high)
        border = _upper_border(_rounded(within, np.floor))
        part = np.divide(end - border, end - start, out=np.zeros(border.shape), where=end > start)
        return np.where(thresholds < low, 1.0, np.where(thresholds >= high, 0.0, np.clip(part, 0, 1)))

    def _span(self, bins: np.ndarray, minimum: np.ndarray, maximum: np.ndarray) -> tuple[np.ndarray, ...]:
        """The least and the greatest value that bin and extremes allow, and where what rounds to them begins, ends."""
        low, high = np.maximum(self.first[bins], minimum), np.minimum(self.last[bins], maximum)
        return low, high, -_upper_border(-low), _upper_border(high)


def _half_steps(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Half of the distances from bfloat16 values, not 0, to the next one towards zero and away from it."""
    mantissa, exponent = np.frexp(np.abs(values))
    step = np.maximum(np.ldexp(1.0, exponent - 8), _TINY)
    return np.where((mantissa == 0.5) & (step > _TINY), step / 4, step / 2), step / 2


def _upper_border(values: np.ndarray) -> np.ndarray:
    """Up to which number numbers round to each bfloat16 value; 0 for 0, which has a bin of its own."""
    inward, outward = _half_steps(values)
    return values + np.where(values > 0, outward, np.where(values < 0, inward, 0.0))


def _rounded(numbers: np.ndarray, by: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The bfloat16 value next to each number: ``by`` is numpy.rint (to the nearest) or numpy.floor (downwards)."""
    step = np.maximum(np.ldexp(1.0, np.frexp(np.abs(numbers))[1] - 8), _TINY)
    return by(numbers / step) * step


@functools.cache
def data_type(name: str) -> Float32 | BFloat16:
    """The data type of this name (one of DTYPES); ValueError for another."""
    if name not in DTYPES:
        raise ValueError(f"the counts are of data type {name!r}; collect them in one of {', '.join(DTYPES)}")
    kinds: dict[str, type[Float32 | BFloat16]] = {"float32": Float32, "bfloat16": BFloat16}
    return kinds[name]()
