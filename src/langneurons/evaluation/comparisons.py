"""One comparison of conditions on the same examples: its effect, the effect's interval, p and verdict.

Effects and intervals are in percentage points; scores of examples go from 0 to 1. scipy is imported inside the
functions, so that importing this module stays light.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from langneurons.evaluation.randomisation import DRAWS, by_cluster, randomisation_test
from langneurons.evaluation.significance import Predictions, aligned
from langneurons.experiment.comparison import BETTER, EQUIVALENT, UNDECIDED, WORSE

_RESOLUTION = 20  # draws per p-value that would be small enough alone


@dataclass(frozen=True)
class Rules:
    """What verdicts go by.

    ``level``: confidence of intervals; 1 - level is the largest adjusted p-value that counts as a difference.
    ``family``: how many comparisons answer the same question (Bonferroni's correction). ``margin``: the largest effect
    in points that counts as none; None: no effect is called equivalent. ``resamples``, ``seed``: a test's draws.
    """

    level: float = 0.95
    family: int = 1
    margin: float | None = None
    resamples: int = DRAWS
    seed: int = 0

    def draws(self) -> int:
        """Draws of a test: enough that p-values below the corrected level can be told from each other."""
        return max(self.resamples, math.ceil(_RESOLUTION * self.family / (1 - self.level)))


class Comparison(NamedTuple):
    """What comparing two conditions on ``examples`` gives: percentages and points, uncorrected and corrected p."""

    examples: int
    value: float
    reference: float
    effect: float
    low: float
    high: float
    p: float
    p_adjusted: float
    verdict: str


def compare(
    own: Predictions, references: Sequence[Predictions], metric: str, rules: Rules, population: bool = False
) -> Comparison:
    """``own`` minus the mean of ``references`` on the same examples, matched by id.

    A paired randomisation test over whole clusters (``randomisation_test``), and ``effect_interval``. Where the
    references are draws from a ``population`` (masks of random neurons), ``own`` must stand out from that population
    too, whatever its spread: p is then the larger one of that test's and Crawford and Howell's
    (``one_against_sample``), and the interval is the wider one of both at each end.
    The adjusted p is Bonferroni's: it depends on the family's size alone, not on the other results.

    ValueError naming the files if they do not hold the same ids, the same clusters or another model's answers.
    """
    scores = own.of(metric)
    others = np.stack([aligned(own, other).of(metric) for other in references])  # [references, examples]
    differences = scores - others.mean(axis=0)
    parts = len(references) if own.scoring.metrics[metric].binary else 0
    p = randomisation_test(differences, own.clusters, parts or 1, rules.draws(), rules.seed)
    effect = 100 * float(differences.mean())
    low, high = effect_interval(differences, own.clusters, rules.level)
    if population:
        p_masks, half = one_against_sample(float(scores.mean()), others.mean(axis=1), rules.level)
        p = max(p, p_masks)
        low, high = min(low, effect - 100 * half), max(high, effect + 100 * half)
    adjusted = min(1.0, p * rules.family)
    said = verdict(effect, low, high, adjusted, 1 - rules.level, rules.margin)
    value = 100 * float(scores.mean())
    ends = max(low, -100.0), min(high, 100.0)
    return Comparison(len(scores), value, value - effect, effect, *ends, p, adjusted, said)


def verdict(effect: float, low: float, high: float, p_adjusted: float, alpha: float, margin: float | None) -> str:
    """What an effect with its interval says.

    ``better`` or ``worse``: the corrected p is at most ``alpha``. ``equivalent``: it is not, and the interval lies
    within ``margin`` of 0. ``undecided``: neither.
    """
    if p_adjusted <= alpha:
        return BETTER if effect > 0 else WORSE
    if margin is not None and -margin < low and high < margin:
        return EQUIVALENT
    return UNDECIDED


def effect_interval(
    differences: np.ndarray, clusters: Sequence | np.ndarray, level: float = 0.95
) -> tuple[float, float]:
    """Confidence interval of the mean of paired ``differences`` [examples, -1 to 1], in points.

    Student's, with the variance of clusters' sums (Liang and Zeger, 1986), after one cluster of mean size has been
    added that changed wholly for the better and one for the worse: Bonett and Price's adjustment (2012), without which
    few changed examples, or none, would give an interval that is too narrow. -100 to 100 with one cluster alone.
    """
    from scipy.stats import t

    sums, sizes = by_cluster(np.asarray(differences, dtype=float), clusters)
    if len(sums) < 2:
        return -100.0, 100.0
    size = sizes.mean()
    sums, sizes = np.append(sums, [size, -size]), np.append(sizes, [size, size])
    mean, number = sums.sum() / sizes.sum(), len(sums)
    variance = number / (number - 1) * ((sums - mean * sizes) ** 2).sum() / sizes.sum() ** 2
    half = t.ppf((1 + level) / 2, number - 3) * math.sqrt(variance) if number > 3 else math.inf
    observed = float(np.asarray(differences, dtype=float).mean())
    low, high = min(mean - half, observed), max(mean + half, observed)
    return 100 * max(-1.0, float(low)), 100 * min(1.0, float(high))


def one_against_sample(value: float, sample: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Does ``value`` come from where ``sample`` [draws] does? Two-sided p, and half the interval of its difference.

    The t test of Crawford and Howell (1998): (value - mean) / (s sqrt(1 + 1 / n)) with n - 1 degrees of freedom, where
    s is the sample's own standard deviation. One draw alone tells nothing of its population: 1, and infinity.
    """
    from scipy.stats import t

    number = len(sample)
    if number < 2:
        return 1.0, math.inf
    error = float(sample.std(ddof=1)) * math.sqrt(1 + 1 / number)
    difference = abs(value - float(sample.mean()))
    half = float(t.ppf((1 + level) / 2, number - 1)) * error
    if error == 0:
        return (1.0 if difference == 0 else 0.0), half
    return float(2 * t.sf(difference / error, number - 1)), half


def least_difference(draws: int, alpha: float) -> float:
    """How many standard deviations of the ``draws`` a mask must lie from their mean for p at most ``alpha``."""
    from scipy.stats import t

    return float(t.isf(alpha / 2, draws - 1)) * math.sqrt(1 + 1 / draws)
