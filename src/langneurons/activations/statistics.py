"""Statistics of each neuron from its counts: mean, spread, share of positive tokens, any percentile.

A percentile follows ``numpy.quantile``'s linear interpolation between two ordered values, each known to its bin: it is
off by at most 1/64 of the larger of the two or 2^-11, whichever is larger, and lies between the neuron's extremes
(which are exact themselves: percentiles 0 and 100). Beyond magnitude 2^11 only the extremes bound it.

Site ``gate`` is z as counted. Site ``act`` is a = f(z), from the same bins: their middles go through f and are ordered
anew, since silu and gelu fall before they rise; a value is off by at most what f makes of z's error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from langneurons.activations.sketch import BINS, LOWER, UPPER, NeuronCounts, bins_of

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = 4096  # neurons worked on at a time: their running sums take 44 MB
_erf = np.frompyfunc(math.erf, 1, 1)


def _silu(z: np.ndarray) -> np.ndarray:
    small = np.exp(-np.abs(z))
    return z * np.where(z < 0, small, 1.0) / (1 + small)


def _gelu(z: np.ndarray) -> np.ndarray:
    return 0.5 * z * (1 + np.asarray(_erf(z / math.sqrt(2)), dtype=np.float64))


def _gelu_tanh(z: np.ndarray) -> np.ndarray:
    bounded = np.clip(z, -100, 100)  # tanh is -1 or 1 well before, and the cube of a float32 could overflow
    return 0.5 * z * (1 + np.tanh(math.sqrt(2 / math.pi) * (bounded + 0.044715 * bounded**3)))


def _relu(z: np.ndarray) -> np.ndarray:
    return np.maximum(z, 0.0)


# name as in a model's configuration -> (f, where f is lowest). f must fall before that place and rise after it.
ACTIVATIONS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], float]] = {
    "silu": (_silu, -1.2784645427610738),
    "gelu": (_gelu, -0.7517915246935645),
    "gelu_pytorch_tanh": (_gelu_tanh, -0.7524614220710162),
    "relu": (_relu, -math.inf),
}


@dataclass(frozen=True)
class _Values:
    """What a bin stands for at a site."""

    function: Callable[[np.ndarray], np.ndarray] | None  # None: z itself
    lowest: float
    middles: np.ndarray  # [BINS]: the values of the bins' middles; the open bins' serve for the order only
    order: np.ndarray | None  # [BINS]: the bins in ascending order of value; None: as they are

    def range(self, minimum: np.ndarray, maximum: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The least and the greatest value for z between ``minimum`` and ``maximum``."""
        if self.function is None:
            return minimum, maximum
        ends = np.maximum(self.function(minimum), self.function(maximum))
        return self.function(np.clip(self.lowest, minimum, maximum)), ends

    def of(self, bins: np.ndarray, minimum: np.ndarray, maximum: np.ndarray) -> np.ndarray:
        """The value that stands for a bin of a neuron with these extremes: never outside what they allow."""
        lower, upper = np.maximum(LOWER[bins], minimum), np.minimum(UPPER[bins], maximum)
        middle = lower + (upper - lower) / 2
        if self.function is None:
            return middle
        inner = (bins > 0) & (bins < BINS - 1)
        return np.clip(np.where(inner, self.middles[bins], self.function(middle)), *self.range(minimum, maximum))


def _values(site: str, activation: str) -> _Values:
    lower = np.where(np.isinf(LOWER), 2 * UPPER, LOWER)
    middles = (lower + np.where(np.isinf(UPPER), 2 * LOWER, UPPER)) / 2
    if site == "gate":
        return _Values(None, -math.inf, middles, None)
    if site != "act":
        raise ValueError(f"site is {site!r}; write gate (z) or act (a = f(z))")
    if activation not in ACTIVATIONS:
        raise ValueError(
            f"activation {activation!r} is not known (known: {', '.join(sorted(ACTIVATIONS))}); write site: gate, or "
            "add it to ACTIVATIONS in src/langneurons/activations/statistics.py"
        )
    function, lowest = ACTIVATIONS[activation]
    through = function(middles)
    return _Values(function, lowest, through, np.argsort(through, kind="stable"))


def percentile(counts: NeuronCounts, q: float, site: str = "gate", activation: str = "silu") -> np.ndarray:
    """The ``q``-th percentile (0 to 100) of each neuron over all tokens, float64 ``[L, D]``."""
    return _percentiles(counts, [q], _values(site, activation))[0]


def layer_percentile(counts: NeuronCounts, q: float, site: str = "gate", activation: str = "silu") -> np.ndarray:
    """The ``q``-th percentile of all values of each layer (its neurons and tokens together), float64 ``[L]``."""
    histogram = np.stack([layer.sum(axis=0, dtype=np.int64) for layer in counts.histogram])
    extremes = counts.minimum.min(axis=1), counts.maximum.max(axis=1)
    tokens = counts.tokens * counts.shape[1]
    return _quantiles(histogram, tokens, *extremes, _checked(counts, [q]), _values(site, activation))[0]


def model_percentile(counts: NeuronCounts, q: float, site: str = "gate", activation: str = "silu") -> float:
    """The ``q``-th percentile of all values of the model (layers, neurons and tokens together)."""
    histogram = sum(layer.sum(axis=0, dtype=np.int64) for layer in counts.histogram)[None]
    extremes = counts.minimum.min(keepdims=True)[0], counts.maximum.max(keepdims=True)[0]
    tokens = counts.tokens * counts.minimum.size
    return float(_quantiles(histogram, tokens, *extremes, _checked(counts, [q]), _values(site, activation))[0, 0])


def mean(counts: NeuronCounts, site: str = "gate", activation: str = "silu") -> np.ndarray:
    """Mean of each neuron over all tokens, float64 ``[L, D]``: from the sums at gate, from the bins at act."""
    _checked(counts, [])
    return _moments(counts, _values(site, activation))[0]


def std(counts: NeuronCounts, site: str = "gate", activation: str = "silu") -> np.ndarray:
    """Standard deviation (over n, as ``numpy.std``) of each neuron over all tokens, float64 ``[L, D]``."""
    _checked(counts, [])
    return _moments(counts, _values(site, activation))[1]


def positive_share(counts: NeuronCounts) -> np.ndarray:
    """Share of tokens with a value above zero, float64 ``[L, D]``, exact; the same at both sites."""
    _checked(counts, [])
    return counts.positive / counts.tokens


def share_above(counts: NeuronCounts, thresholds: np.ndarray | float) -> np.ndarray:
    """Share of tokens with z above a threshold, float64 ``[L, D]``.

    ``thresholds``: ``[L, D]``, one a neuron; ``[L]``, one a layer; or one number. Within the threshold's bin the
    values are taken as spread evenly, from the neuron's least to its greatest; exact at zero and outside the extremes.
    """
    _checked(counts, [])
    given = np.asarray(thresholds, dtype=np.float64)
    if (
        given.ndim > 2
        or (given.ndim == 1 and given.shape != counts.shape[:1])
        or (given.ndim == 2 and given.shape not in (counts.shape, (counts.shape[0], 1)))
    ):
        raise ValueError(f"thresholds have shape {given.shape}; give one number, [{counts.shape[0]}] or {counts.shape}")
    given = np.broadcast_to(given[:, None] if given.ndim == 1 else given, counts.shape).ravel()
    bins = bins_of(given)
    result = np.empty(given.size)
    for rows, histogram, minimum, maximum in _parts(counts):
        own, threshold = bins[rows], given[rows]
        at = np.arange(len(own)) * BINS + own
        running = np.cumsum(histogram.ravel(), dtype=np.int64)
        above = (np.arange(len(own)) + 1) * counts.tokens - running[at]  # in the bins above the threshold's
        lower, upper = np.maximum(LOWER[own], minimum), np.minimum(UPPER[own], maximum)
        width = upper - lower
        part = np.divide(upper - threshold, width, out=(upper > threshold).astype(np.float64), where=width > 0)
        result[rows] = (above + histogram.ravel()[at] * np.clip(part, 0, 1)) / counts.tokens
    return result.reshape(counts.shape)


def batch_mean(counts: NeuronCounts, q: float) -> np.ndarray:
    """Mean over batches of each neuron's ``q``-th percentile within a batch (the reference code), float64 ``[L, D]``.

    ValueError if that percentile was not collected, or no batch was full.
    """
    if q not in counts.percentiles:
        collected = ", ".join(f"{p:g}" for p in counts.percentiles) or "none"
        raise ValueError(
            f"percentile {q:g} was not collected by batches (collected: {collected}); add it to "
            "activations.batch_percentiles and collect again, or write estimate: exact"
        )
    if not counts.batches:
        raise ValueError(
            f"no shard held a full batch of {counts.reference_tokens} tokens; write a smaller "
            "activations.reference_tokens, or a larger corpus.tokens"
        )
    return counts.sums[counts.percentiles.index(q)] / counts.batches


def summarize(
    counts: NeuronCounts,
    percentiles: Sequence[float],
    site: str = "gate",
    activation: str = "silu",
    estimate: str = "exact",
) -> pa.Table:
    """A row a neuron, by (layer, neuron): layer, neuron (int32), tokens (int64), mean, std, positive, p5 .. (float64).

    ``site``: gate (z) or act (a = ``activation`` of z). ``estimate``: exact (over all tokens) or batch_mean (the mean
    of batches' percentiles, as the paper's code; of z only). A percentile 2.5 is column ``p2.5``. ValueError for what
    was not collected, naming what to write instead.
    """
    import pyarrow as pa

    _checked(counts, percentiles)
    if estimate not in ("exact", "batch_mean"):
        raise ValueError(f"estimate is {estimate!r}; write exact or batch_mean")
    if estimate == "batch_mean" and site != "gate":
        raise ValueError("batches' percentiles are of z; write site: gate with them, or estimate: exact")
    values = _values(site, activation)
    averages, deviations = _moments(counts, values)
    if estimate == "exact":
        columns = _percentiles(counts, percentiles, values)
    else:
        columns = [batch_mean(counts, q) for q in percentiles]
    layers, neurons = counts.shape
    table = {
        "layer": np.repeat(np.arange(layers, dtype=np.int32), neurons),
        "neuron": np.tile(np.arange(neurons, dtype=np.int32), layers),
        "tokens": np.full(layers * neurons, counts.tokens, dtype=np.int64),
        "mean": averages.ravel(),
        "std": deviations.ravel(),
        "positive": positive_share(counts).ravel(),
    }
    table.update({f"p{q:g}": column.ravel() for q, column in zip(percentiles, columns, strict=True)})
    return pa.table(table)


def _checked(counts: NeuronCounts, percentiles: Sequence[float]) -> list[float]:
    if not counts.tokens:
        raise ValueError("the counts are of no tokens; collect some first")
    for q in percentiles:
        if not 0 <= q <= 100:
            raise ValueError(f"percentile {q} is out of range; write a number from 0 to 100")
    return list(percentiles)


def _parts(counts: NeuronCounts) -> Iterator[tuple[slice, np.ndarray, np.ndarray, np.ndarray]]:
    """Rows, histogram, minimum and maximum (float64) of some neurons at a time."""
    histogram = counts.histogram.reshape(-1, BINS)
    minimum, maximum = (x.ravel().astype(np.float64) for x in (counts.minimum, counts.maximum))
    for start in range(0, len(histogram), _ROWS):
        rows = slice(start, start + _ROWS)
        yield rows, histogram[rows], minimum[rows], maximum[rows]


def _percentiles(counts: NeuronCounts, percentiles: Sequence[float], values: _Values) -> np.ndarray:
    """``[P, L, D]``."""
    wanted = _checked(counts, percentiles)
    result = np.empty((len(wanted), counts.minimum.size))
    for rows, histogram, minimum, maximum in _parts(counts):
        result[:, rows] = _quantiles(histogram, counts.tokens, minimum, maximum, wanted, values)
    return result.reshape(len(wanted), *counts.shape)


def _quantiles(histogram, tokens: int, minimum, maximum, percentiles: list[float], values: _Values) -> np.ndarray:
    """``[P, R]`` from R histograms of ``tokens`` each and their extremes in z."""
    minimum, maximum = np.asarray(minimum, dtype=np.float64), np.asarray(maximum, dtype=np.float64)
    if values.order is not None:
        histogram = histogram[:, values.order]
    running = np.cumsum(histogram.ravel(), dtype=np.int64)  # a row adds `tokens`: one ascending array serves all rows
    rows = np.arange(len(histogram))
    ranks = (tokens - 1) * (np.asarray(percentiles, dtype=np.float64) / 100)
    low = np.floor(ranks).astype(np.int64)
    bottom, top = values.range(minimum, maximum)

    def ordered(rank: np.ndarray) -> np.ndarray:
        """The values of these ranks (0: the least), ``[P, R]``."""
        place = np.searchsorted(running, rows * tokens + rank[:, None], side="right") - rows * BINS
        bins = place if values.order is None else values.order[place]
        found = values.of(bins, minimum, maximum)
        found = np.where(rank[:, None] == tokens - 1, top, found)  # f is greatest where z is least or greatest
        if values.function is None:
            found = np.where(rank[:, None] == 0, bottom, found)
        return found

    start, end = ordered(low), ordered(np.minimum(low + 1, tokens - 1))
    between = start + (end - start) * (ranks - low)[:, None]
    return np.clip(between, bottom, top)


def _moments(counts: NeuronCounts, values: _Values) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation, ``[L, D]`` each."""
    minimum, maximum = counts.minimum.astype(np.float64), counts.maximum.astype(np.float64)
    if values.function is None:
        average, square = counts.total / counts.tokens, counts.square / counts.tokens
    else:
        average, square = _binned_moments(counts, values)
    average = np.clip(average, *values.range(minimum, maximum))
    spread = np.sqrt(np.maximum(square - average**2, 0))
    return average, np.where(minimum == maximum, 0.0, spread)  # of equal values only rounding would be left


def _binned_moments(counts: NeuronCounts, values: _Values) -> tuple[np.ndarray, np.ndarray]:
    inner = slice(1, BINS - 1)
    powers = np.stack([values.middles, values.middles**2], axis=1)[inner]
    result = np.empty((counts.minimum.size, 2))
    for rows, histogram, minimum, maximum in _parts(counts):
        result[rows] = histogram[:, inner].astype(np.float64) @ powers
        for end in (0, BINS - 1):
            value = values.of(np.full(len(minimum), end), minimum, maximum)
            result[rows] += histogram[:, end, None] * np.stack([value, value**2], axis=1)
    result /= counts.tokens
    return result[:, 0].reshape(counts.shape), result[:, 1].reshape(counts.shape)
