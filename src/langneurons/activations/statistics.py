"""Statistics of each neuron from its counts: mean, spread, share of positive tokens, any percentile.

A percentile follows ``numpy.percentile``'s linear interpolation between two ordered values, each known to its bin: it
is off by at most 1/64 of the larger of the two or 2^-10, whichever is larger, and lies between the neuron's extremes
(which are exact themselves: percentiles 0 and 100). Beyond magnitude 2^11 only the extremes bound it. Within a bin the
values are those of the data type that was counted (see ``datatypes``), so that on average it is off by far less.

Site ``gate`` is z as counted. Site ``act`` is a = f(z), from the same bins: their mean values go through f and are
ordered anew, since silu and gelu fall before they rise; a value is off by at most what f makes of z's error. In the
mean at ``act``, values beyond 2^11 count with what the exact sum of z leaves for them: they add no more error than the
bins below have themselves; only where a neuron has such values of both signs do its extremes bound their shares of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from langneurons.activations.datatypes import data_type
from langneurons.activations.sketch import BINS, HIGHEST, NeuronCounts, bins_of
from langneurons.activations.statistic_names import PLAIN, percentile_of
from langneurons.activations.values import Values, values_at

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = 4096  # neurons worked on at a time: their running sums take 44 MB


def percentile(counts: NeuronCounts, q: float, site: str = "gate", activation: str = "silu") -> np.ndarray:
    """The ``q``-th percentile (0 to 100) of each neuron over all tokens, float64 ``[L, D]``."""
    return _percentiles(counts, [q], values_at(site, activation, counts.dtype))[0]


def layer_percentile(counts: NeuronCounts, q: float, site: str = "gate", activation: str = "silu") -> np.ndarray:
    """The ``q``-th percentile of all values of each layer (its neurons and tokens together), float64 ``[L]``."""
    histogram = np.stack([layer.sum(axis=0, dtype=np.int64) for layer in counts.histogram])
    extremes = counts.minimum.min(axis=1), counts.maximum.max(axis=1)
    tokens = counts.tokens * counts.shape[1]
    return _quantiles(histogram, tokens, *extremes, _checked(counts, [q]), values_at(site, activation, counts.dtype))[0]


def model_percentile(counts: NeuronCounts, q: float, site: str = "gate", activation: str = "silu") -> float:
    """The ``q``-th percentile of all values of the model (layers, neurons and tokens together)."""
    histogram = sum(layer.sum(axis=0, dtype=np.int64) for layer in counts.histogram)[None]
    extremes = counts.minimum.min(keepdims=True)[0], counts.maximum.max(keepdims=True)[0]
    tokens = counts.tokens * counts.minimum.size
    return float(
        _quantiles(histogram, tokens, *extremes, _checked(counts, [q]), values_at(site, activation, counts.dtype))[0, 0]
    )


def mean(counts: NeuronCounts, site: str = "gate", activation: str = "silu") -> np.ndarray:
    """Mean of each neuron over all tokens, float64 ``[L, D]``: from the sums at gate, from the bins at act."""
    _checked(counts, [])
    return _moments(counts, values_at(site, activation, counts.dtype))[0]


def std(counts: NeuronCounts, site: str = "gate", activation: str = "silu") -> np.ndarray:
    """Standard deviation (over n, as ``numpy.std``) of each neuron over all tokens, float64 ``[L, D]``."""
    _checked(counts, [])
    return _moments(counts, values_at(site, activation, counts.dtype))[1]


def positive_share(counts: NeuronCounts) -> np.ndarray:
    """Share of tokens with a value above zero, float64 ``[L, D]``, exact; the same at both sites."""
    _checked(counts, [])
    return counts.positive / counts.tokens


def share_above(counts: NeuronCounts, thresholds: np.ndarray | float) -> np.ndarray:
    """Share of tokens with z above a threshold, float64 ``[L, D]``.

    ``thresholds``: ``[L, D]``, one per neuron; ``[L]``, one per layer; or one number. Of the threshold's bin
    those values count that the counted data type has above it (see ``datatypes``), from the neuron's least to its
    greatest; exact at zero and outside the extremes.
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
    bins, datatype = bins_of(given), data_type(counts.dtype)
    result = np.empty(given.size)
    for rows, histogram, minimum, maximum in _parts(counts):
        own, threshold = bins[rows], given[rows]
        at = np.arange(len(own)) * BINS + own
        running = np.cumsum(histogram.ravel(), dtype=np.int64)
        above = (np.arange(len(own)) + 1) * counts.tokens - running[at]  # in the bins above the threshold's
        part = datatype.above(own, threshold, minimum, maximum)
        result[rows] = (above + histogram.ravel()[at] * part) / counts.tokens
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
    if not counts.batches or counts.sums is None:
        raise ValueError(
            f"no shard held a full batch of {counts.reference_tokens} tokens; write a smaller "
            "activations.reference_tokens, or a larger corpus.tokens"
        )
    return counts.sums[counts.percentiles.index(q)] / counts.batches


def summarize(
    counts: NeuronCounts, name: str, site: str = "gate", activation: str = "silu", estimate: str = "exact"
) -> pa.Table:
    """One statistic of every neuron, by (layer, neuron): layer, neuron (int32), and ``name`` (float64).

    ``name``: mean, std, positive, or a percentile as ``p90`` or ``p2.5``. ``site``: gate (z) or act (a = ``activation``
    of z). ``estimate`` of a percentile: exact (over all tokens) or batch_mean (the mean of batches' percentiles, as the
    paper's code; of z only). ValueError for another name, and for what was not collected, naming what to write instead.
    """
    import pyarrow as pa

    if name == "positive":
        found = positive_share(counts)
    elif name in ("mean", "std"):
        found = (mean if name == "mean" else std)(counts, site, activation)
    elif (q := percentile_of(name)) is not None:
        found = _estimated(counts, q, site, activation, estimate)
    else:
        raise ValueError(f"{name} is no statistic; write {', '.join(PLAIN)}, or a percentile as p90")
    layers, neurons = counts.shape
    columns = {
        "layer": np.repeat(np.arange(layers, dtype=np.int32), neurons),
        "neuron": np.tile(np.arange(neurons, dtype=np.int32), layers),
        name: found.ravel(),
    }
    return pa.table(columns)


def _estimated(counts: NeuronCounts, q: float, site: str, activation: str, estimate: str) -> np.ndarray:
    """A percentile by either estimate, ``[L, D]``."""
    if estimate == "exact":
        return percentile(counts, q, site, activation)
    if estimate != "batch_mean":
        raise ValueError(f"estimate is {estimate!r}; write exact or batch_mean")
    if site != "gate":
        raise ValueError("batches' percentiles are of z; write site: gate with them, or estimate: exact")
    _checked(counts, [q])
    return batch_mean(counts, q)


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


def _percentiles(counts: NeuronCounts, percentiles: Sequence[float], values: Values) -> np.ndarray:
    """``[P, L, D]``."""
    wanted = _checked(counts, percentiles)
    result = np.empty((len(wanted), counts.minimum.size))
    for rows, histogram, minimum, maximum in _parts(counts):
        result[:, rows] = _quantiles(histogram, counts.tokens, minimum, maximum, wanted, values)
    return result.reshape(len(wanted), *counts.shape)


def _quantiles(
    histogram: np.ndarray,
    tokens: int,
    minimum: np.ndarray,
    maximum: np.ndarray,
    percentiles: list[float],
    values: Values,
) -> np.ndarray:
    """``[P, R]`` from R histograms of ``tokens`` each and their extremes in z."""
    minimum, maximum = np.asarray(minimum, dtype=np.float64), np.asarray(maximum, dtype=np.float64)
    if values.order is not None:
        histogram = histogram[:, values.order]
    counted = histogram.ravel()
    running = np.cumsum(counted, dtype=np.int64)  # a row adds `tokens`: one ascending array serves all rows
    rows = np.arange(len(histogram))
    ranks = (tokens - 1) * (np.asarray(percentiles, dtype=np.float64) / 100)
    low = np.floor(ranks).astype(np.int64)
    bottom, top = values.range(minimum, maximum)

    def ordered(rank: np.ndarray) -> np.ndarray:
        """The values of these ranks (0: the least), ``[P, R]``."""
        wanted = rows * tokens + rank[:, None]
        place = np.searchsorted(running, wanted, side="right")
        number = counted[place]
        share = (wanted - (running[place] - number) + 0.5) / number  # where in its bin
        place = place - rows * BINS
        bins = place if values.order is None else values.order[place]
        found = values.at(bins, share, minimum, maximum)
        found = np.where(rank[:, None] == tokens - 1, top, found)  # f is greatest where z is least or greatest
        if values.function is None:
            found = np.where(rank[:, None] == 0, bottom, found)
        return found

    start, end = ordered(low), ordered(np.minimum(low + 1, tokens - 1))
    between = start + (end - start) * (ranks - low)[:, None]
    return np.clip(between, bottom, top)


def _moments(counts: NeuronCounts, values: Values) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation, ``[L, D]`` each."""
    minimum, maximum = counts.minimum.astype(np.float64), counts.maximum.astype(np.float64)
    if values.function is None:
        average, square = counts.total / counts.tokens, counts.square / counts.tokens
    else:
        average, square = _binned_moments(counts, values)
    average = np.clip(average, *values.range(minimum, maximum))
    spread = np.sqrt(np.maximum(square - average**2, 0))
    return average, np.where(minimum == maximum, 0.0, spread)  # of equal values only rounding would be left


def _binned_moments(counts: NeuronCounts, values: Values) -> tuple[np.ndarray, np.ndarray]:
    """Mean of f(z) and of its square: what lies beyond 2^11 is what the exact sums have more than the inner bins."""
    inner = slice(1, BINS - 1)
    z = values.datatype.middles[inner]
    powers = np.stack([values.middles[inner], values.middles[inner] ** 2, z, z**2], axis=1)
    sums = np.stack([counts.total.ravel(), counts.square.ravel()], axis=1)
    result = np.empty((counts.minimum.size, 2))
    for rows, histogram, minimum, maximum in _parts(counts):
        inside = histogram[:, inner].astype(np.float64) @ powers
        result[rows] = inside[:, :2] + _beyond(
            sums[rows] - inside[:, 2:], histogram[:, [0, -1]], np.stack([-minimum, maximum])
        )
    result /= counts.tokens
    return result[:, 0].reshape(counts.shape), result[:, 1].reshape(counts.shape)


def _beyond(rest: np.ndarray, numbers: np.ndarray, furthest: np.ndarray) -> np.ndarray:
    """Sum of f(z) and of its square over z above 2^11, ``[R, 2]``: there f(z) is z, below -2^11 it is 0.

    ``rest``: sums of z and z^2 over both open bins, ``[R, 2]``; ``numbers``: tokens in the lower and the upper one,
    ``[R, 2]``; ``furthest``: greatest magnitude on either side, ``[2, R]``. If all are on one side, that is the rest;
    if not, the middle of what number, extremes and rest allow.
    """
    result = np.zeros_like(rest)
    for power in (1, 2):
        nearest = 2.0 ** (HIGHEST * power)
        farthest = np.maximum(furthest, 0.0) ** power
        least = np.where(numbers.T > 0, (numbers.T - 1) * nearest + farthest, 0.0)  # one lies at the extreme
        most = numbers.T * farthest
        sign = -1.0 if power == 1 else 1.0
        others = np.stack([sign * least[0], sign * most[0]])
        low = np.maximum(least[1], rest[:, power - 1] - others.max(axis=0))
        high = np.minimum(most[1], rest[:, power - 1] - others.min(axis=0))
        result[:, power - 1] = np.clip((low + high) / 2, least[1], most[1])
    return result
