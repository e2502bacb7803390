"""Counts of every neuron's values in fixed log-linear bins: exact to merge, and any percentile afterwards.

Of magnitudes 2^-4 to 2^11 a bin holds the values that share sign, exponent and the five leading mantissa bits, as they
stand in the bits of a float32 or a bfloat16: its middle is within 1/64 of any value in it. Below 2^-4 all bins are 2^-9
wide, as in the octave above it: their middles are within 2^-10 of any value. So there are 480 and 32 bins a sign; zero
has a bin of its own; above, one open bin a sign, bounded by the neuron's own extremes. In ascending order: open, 480,
32, zero, 32, 480, open. (Bins of relative width down to 2^-10 would be 160 more a sign, a third of the memory and of
the file, to resolve what the bound of 2^-10 does not ask for.)

Counts are integers, so adding them is associative and commutative. So is adding the float64 sums: each value, and each
square, is first rounded to a multiple of 2^-36 and split into limbs of fixed quanta; multiples of one quantum add
without rounding. What the limbs hold in excess is carried over (``carry``), so the same sum has the same limbs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MANTISSA_BITS = 5
SHIFT = 23 - MANTISSA_BITS  # of a float32's bits
LOWEST, HIGHEST = -4, 11  # exponents: the bins of relative width cover magnitudes 2^LOWEST to 2^HIGHEST
LINEAR = 1 << MANTISSA_BITS  # bins a sign of equal width below 2^LOWEST
STEPS_PER_UNIT = 2.0 ** (MANTISSA_BITS - LOWEST)  # 1 / their width
KEY_OFFSET = (
    ((127 + LOWEST) << MANTISSA_BITS) - LINEAR - 1
)  # (magnitude's bits >> SHIFT) - KEY_OFFSET: LINEAR + 1 there
ZERO_BIN = (
    ((HIGHEST - LOWEST) << MANTISSA_BITS) + LINEAR + 1
)  # index of the bin of zero; also the number of bins a sign
BINS = 2 * ZERO_BIN + 1
DTYPES = ("float32", "bfloat16")  # data types that are counted: they share a float32's bits
LAYOUT = {"mantissa_bits": MANTISSA_BITS, "lowest_exponent": LOWEST, "highest_exponent": HIGHEST, "bins": BINS}

# A sum is kept in multiples of these. A limb is exact up to 2^53 quanta, and once carried the lower two hold at most
# 2^25: sums of up to 2^28 parts (values, passes, shards) add exactly while a total stays below 2^69.
QUANTA = (2.0**16, 2.0**-10, 2.0**-36)
BATCH_QUANTUM = 2.0**-24  # of a batch's percentile: sums exact while below 2^29

_INT32_MAX = 2**31 - 1


def _edges() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    exponents = np.repeat(np.arange(LOWEST, HIGHEST), 1 << MANTISSA_BITS)
    steps = np.tile(np.arange(1 << MANTISSA_BITS), HIGHEST - LOWEST)
    fine = np.append(np.ldexp(1 + steps / (1 << MANTISSA_BITS), exponents), np.ldexp(1.0, HIGHEST))
    inner = np.concatenate([np.arange(LINEAR) / STEPS_PER_UNIT, fine])  # [ZERO_BIN], by magnitude
    outer = np.append(inner[1:], np.inf)
    lower = np.concatenate([-outer[::-1], [0.0], inner])
    upper = np.concatenate([-inner[::-1], [0.0], outer])
    return inner, lower, upper


# Of each sign's bins the inner edges; float64 [BINS], ascending, infinite at the open ends.
_INNER_EDGES, LOWER, UPPER = _edges()


def bins_of(values: np.ndarray) -> np.ndarray:
    """The bin of each value, int64 of the same shape. Both zeros are zero. NaN is ValueError."""
    values = np.asarray(values, dtype=np.float64)
    if np.isnan(values).any():
        raise ValueError("a value is NaN: it has no bin; look at what computed it")
    magnitude = np.abs(values)
    key = np.searchsorted(_INNER_EDGES, magnitude, side="right") * (magnitude > 0)
    return ZERO_BIN + np.where(values < 0, -key, key)


def split(terms: np.ndarray) -> np.ndarray:
    """Split float64 terms into limbs, ``[len(QUANTA), *shape]``: limb i a multiple of QUANTA[i], the rest dropped."""
    limbs, rest = [], np.asarray(terms, dtype=np.float64)
    for quantum in QUANTA:
        limbs.append(np.rint(rest / quantum) * quantum)
        rest = rest - limbs[-1]
    return np.stack(limbs)


def carry(moments: np.ndarray) -> np.ndarray:
    """The one way to write the sums in ``moments``, float64 ``[2, 3, L, D]``: the lower limbs as small as can be.

    Exact within the limits at QUANTA: a limb is from -1/2 to less than 1/2 of the quantum above it. No limb is -0.
    """
    moments = np.array(moments)
    for limb in (2, 1):
        excess = np.floor(moments[:, limb] / QUANTA[limb - 1] + 0.5) * QUANTA[limb - 1]
        moments[:, limb] -= excess
        moments[:, limb - 1] += excess
    return moments + 0.0


@dataclass
class NeuronCounts:
    """What was counted of every neuron (layer l of L, index d of D) over some tokens.

    ``moments``: float64 ``[2, 3, L, D]``, the limbs of the sum and of the sum of squares (see ``total``, ``square``),
    carried.
    ``minimum``, ``maximum``: float32 ``[L, D]`` (+inf and -inf of no tokens).
    ``histogram``: ``[L, D, BINS]``, int32, or int64 from 2^31 tokens on; every neuron's bins add up to ``tokens``.
    ``dtype``: the data type of the values counted, of DTYPES: which values a bin can hold depends on it.

    Optional, percentiles averaged over batches as the reference code does: for each of ``percentiles``, ``sums``
    (float64 ``[P, L, D]``) adds up the percentile of each neuron within ``batches`` batches of ``reference_tokens``
    tokens, every ``every``-th batch of the shards counted.
    """

    tokens: int
    moments: np.ndarray
    minimum: np.ndarray
    maximum: np.ndarray
    histogram: np.ndarray
    percentiles: tuple[float, ...] = ()
    batches: int = 0
    every: int = 1
    reference_tokens: int = 0
    sums: np.ndarray | None = None
    dtype: str = "float32"

    @classmethod
    def empty(
        cls,
        layers: int,
        neurons: int,
        percentiles: Sequence[float] = (),
        every: int = 1,
        reference_tokens: int = 0,
        tokens: int = 0,
        dtype: str = "float32",
    ) -> NeuronCounts:
        """Counts of no tokens yet, with room for ``tokens`` (more make ``histogram`` grow to int64).

        ValueError for a ``dtype`` that is not of DTYPES.
        """
        if dtype not in DTYPES:
            raise ValueError(f"values of data type {dtype!r} are not counted; load the model in {' or '.join(DTYPES)}")
        shape = (layers, neurons)
        return cls(
            0,
            np.zeros((2, len(QUANTA), *shape)),
            np.full(shape, np.inf, dtype=np.float32),
            np.full(shape, -np.inf, dtype=np.float32),
            np.zeros((*shape, BINS), dtype=np.int32 if tokens <= _INT32_MAX else np.int64),
            tuple(percentiles),
            0,
            every if len(percentiles) else 1,
            reference_tokens if len(percentiles) else 0,
            np.zeros((len(percentiles), *shape)) if len(percentiles) else None,
            dtype,
        )

    @property
    def shape(self) -> tuple[int, int]:
        """(L, D)."""
        return self.minimum.shape

    @property
    def total(self) -> np.ndarray:
        """Sum over the tokens, float64 ``[L, D]``."""
        return self.moments[0].sum(axis=0)

    @property
    def square(self) -> np.ndarray:
        """Sum of squares over the tokens, float64 ``[L, D]``."""
        return self.moments[1].sum(axis=0)

    @property
    def positive(self) -> np.ndarray:
        """Tokens with a value above zero, int64 ``[L, D]``: exact, since zero has a bin of its own."""
        return self.histogram[:, :, ZERO_BIN + 1 :].sum(axis=2, dtype=np.int64)

    def reserve(self, tokens: int) -> None:
        """Make room for ``tokens`` in all: from 2^31 on the histogram is int64."""
        if tokens > _INT32_MAX:
            self.histogram = self.histogram.astype(np.int64, copy=False)

    def update(self, values: np.ndarray) -> None:
        """Count ``values``, ``[tokens, L, D]``.

        ValueError for another shape, for a value that is not finite as a float32, and for one that ``dtype`` does not
        have. Batch percentiles are the
        collector's affair: they need whole batches.
        """
        values = np.asarray(values, dtype=np.float32)
        if values.ndim != 3 or values.shape[1:] != self.shape:
            raise ValueError(f"values have shape {values.shape}; give [tokens, {self.shape[0]}, {self.shape[1]}]")
        if not np.isfinite(values).all():
            raise ValueError("a value is NaN or infinite; look at what computed it")
        if self.dtype == "bfloat16" and (values.view(np.uint32) & 0xFFFF).any():
            raise ValueError("a value is no bfloat16, but these counts are of bfloat16; count it as float32")
        if not len(values):
            return
        self.reserve(self.tokens + len(values))
        layers, neurons = self.shape
        flat = bins_of(values) + BINS * np.arange(layers * neurons).reshape(layers, neurons)
        self.histogram += (
            np.bincount(flat.ravel(), minlength=self.histogram.size)
            .reshape(self.histogram.shape)
            .astype(self.histogram.dtype)
        )
        wide = values.astype(np.float64)
        terms = np.stack([split(wide).sum(axis=1), split(np.square(wide)).sum(axis=1)])
        self.moments = carry(self.moments + carry(terms))
        # Adding 0 makes -0 a +0: which of them is the smaller would depend on the order.
        self.minimum = np.minimum(self.minimum, values.min(axis=0) + np.float32(0))
        self.maximum = np.maximum(self.maximum, values.max(axis=0) + np.float32(0))
        self.tokens += len(values)

    def add(self, other: NeuronCounts) -> None:
        """Add another's counts to these. ValueError if shape, data type or batch percentiles differ."""
        for name in ("shape", "dtype", "percentiles", "every", "reference_tokens"):
            own, theirs = getattr(self, name), getattr(other, name)
            if own != theirs:
                raise ValueError(f"counts of different {name} cannot be added: {own} and {theirs}; collect them alike")
        self.reserve(self.tokens + other.tokens)
        self.histogram += other.histogram
        self.moments = carry(self.moments + other.moments)
        self.minimum = np.minimum(self.minimum, other.minimum)
        self.maximum = np.maximum(self.maximum, other.maximum)
        if self.sums is not None:
            self.sums += other.sums
        self.tokens += other.tokens
        self.batches += other.batches

    @staticmethod
    def merge(parts: Sequence[NeuronCounts]) -> NeuronCounts:
        """The counts of all parts together: the same bits in whatever order and grouping they are merged.

        That holds for the float sums too, within the limits at QUANTA and BATCH_QUANTUM; beyond them they round as
        float64 does. ValueError for no parts, and as ``add``.
        """
        if not parts:
            raise ValueError("nothing to merge; give at least one NeuronCounts")
        first = parts[0]
        tokens = sum(part.tokens for part in parts)
        merged = NeuronCounts.empty(
            *first.shape, first.percentiles, first.every, first.reference_tokens, tokens, first.dtype
        )
        for part in parts:
            merged.add(part)
        return merged
