"""Is a mean difference on the same examples larger than chance? A randomisation test, exact where that is feasible."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

DRAWS = 10_000
EXACT = 16
"""Clusters with a difference up to which all 2^clusters signs are tried, where the sums are no whole numbers."""
_BATCH = 1_000  # draws held in memory at once
_ROUNDING = 1e-9


def by_cluster(values: np.ndarray, clusters: Sequence | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum and number of the values [examples] of each cluster, both [clusters], the clusters sorted.

    ValueError if the lengths differ.
    """
    if len(clusters) != len(values):
        raise ValueError(f"{len(values)} scores in {len(clusters)} clusters' places; give a cluster to each score")
    _, which = np.unique(np.asarray(clusters), return_inverse=True)
    return np.bincount(which, weights=values), np.bincount(which).astype(float)


def randomisation_test(
    differences: np.ndarray,
    clusters: Sequence | np.ndarray,
    parts: int = 1,
    draws: int = DRAWS,
    seed: int = 0,
) -> float:
    """Two-sided p-value of the mean of paired ``differences`` [examples], whose sign flips by whole clusters.

    If two conditions do the same, either could have given a cluster's answers, so that each cluster's sum is as likely
    to have the other sign (Fisher, 1935, section 21): p is the share of sign assignments whose mean lies as far from 0
    as the observed one. Of differences that are whole multiples of 1 / ``parts`` (a binary metric against the mean of
    ``parts`` conditions) it is exact; clusters of one example each make it McNemar's exact test. Of others it is exact
    with at most ``EXACT`` clusters that differ, and else estimated from ``draws`` assignments by ``seed``, the observed
    one counted among them: at least 1 / (draws + 1). 1 if no cluster's sum differs from 0.

    ValueError if the lengths differ.
    """
    sums, _ = by_cluster(np.asarray(differences, dtype=float), clusters)
    observed = abs(float(sums.sum())) - _ROUNDING * len(differences)
    sums = np.abs(sums[np.abs(sums) > _ROUNDING])
    if not len(sums):
        return 1.0
    whole = np.rint(sums * parts)
    if np.abs(sums * parts - whole).max() < _ROUNDING * len(differences):
        return _of_whole_numbers(whole.astype(int), observed * parts)
    if len(sums) <= EXACT:
        signs = 1 - 2.0 * ((np.arange(2 ** len(sums))[:, None] >> np.arange(len(sums))) & 1)
        return float((np.abs(signs @ sums) >= observed).mean())
    rng, beyond = np.random.default_rng(seed), 0
    for start in range(0, draws, _BATCH):
        flipped = rng.integers(0, 2, (min(_BATCH, draws - start), len(sums)), dtype=np.int8)
        beyond += int((np.abs((1 - 2.0 * flipped) @ sums) >= observed).sum())
    return (1 + beyond) / (draws + 1)


def _of_whole_numbers(sizes: np.ndarray, observed: float) -> float:
    """The p-value of sums [clusters] of whole, positive ``sizes``: their distribution is a convolution of binomials."""
    from scipy.stats import binom

    chances = np.ones(1)  # of each total, from -reach in steps of 1
    for size, number in zip(*np.unique(sizes, return_counts=True), strict=True):
        spread = np.zeros(2 * size * number + 1)
        spread[:: 2 * size] = binom.pmf(np.arange(number + 1), number, 0.5)
        chances = np.convolve(chances, spread)
    reach = (len(chances) - 1) // 2
    return min(1.0, float(chances[np.abs(np.arange(-reach, reach + 1)) >= observed].sum()))
