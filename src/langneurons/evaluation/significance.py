"""What a metric's number can bear: intervals, paired comparisons of conditions, and Holm's correction.

Intervals and differences are in percent, as the tables are; scores of examples go from 0 to 1. scipy and pyarrow
are imported inside the functions, so that importing this module stays light.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from langneurons.evaluation.scoring import Scoring
from langneurons.experiment.condition import Condition, condition_facts

if TYPE_CHECKING:
    Scores = Sequence[float] | np.ndarray

PREDICTIONS = "predictions"
RESAMPLES = 10_000
_BATCH = 1_000  # resamples held in memory at once
_ROUNDING = 1e-12


class Comparison(NamedTuple):
    """First condition minus second: ``difference`` in percentage points, and its two-sided p-value."""

    difference: float
    p: float


@dataclass(frozen=True)
class Predictions:
    """Scores of a condition's examples, 0 to 1, by metric [examples]; ``clusters`` [examples] are drawn together.

    Clusters are the paragraphs of XQuAD's questions (answers from one paragraph stand or fall together), and the
    examples themselves where a task has none. ``metrics`` and ``model`` (digest of the snapshot): what the file says of
    itself. ``scoring``: which metrics are binary, and whether there are clusters.
    """

    path: str
    ids: tuple[str, ...]
    clusters: np.ndarray
    scores: Mapping[str, np.ndarray]
    scoring: Scoring
    metrics: Mapping[str, float | int] = field(default_factory=dict)
    model: str | None = None


def wilson(correct: int, total: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share, in percent (Wilson, 1927).

    ValueError unless 0 <= ``correct`` <= ``total`` and there is an example.
    """
    from scipy.stats import binomtest

    if not 0 <= correct <= total or total < 1:
        raise ValueError(f"{correct} right of {total}; give at least one example, and no more right than there are")
    low, high = binomtest(int(correct), int(total)).proportion_ci(level, method="wilson")
    return 100 * max(0.0, float(low)), 100 * min(1.0, float(high))


def cluster_bootstrap(
    scores: Scores,
    clusters: Sequence | np.ndarray,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of ``scores`` (0 to 1, [examples]), in percent.

    Whole clusters are drawn with replacement, as many as there are; each draw's mean is over its examples. Same
    ``seed``, same draws. Where all scores are 0, or all are 1, every draw is the same and says nothing of the
    width: the interval is then Wilson's with the clusters as examples. With one cluster alone it is 0 to 100.

    ValueError on no score, on a score outside 0 to 1, or if the lengths differ.
    """
    sums, sizes = _by_cluster(_checked(scores), clusters)
    if len(sizes) < 2:
        return 0.0, 100.0
    share = sums.sum() / sizes.sum()
    if share in (0.0, 1.0):
        return wilson(int(share) * len(sizes), len(sizes), level)
    interval = _bootstrap(sums, sizes, level, resamples, seed).confidence_interval
    return 100 * float(interval.low), 100 * float(interval.high)


def mcnemar(a_correct: Sequence[bool], b_correct: Sequence[bool]) -> float:
    """Exact two-sided p-value of McNemar's test on the same examples, [examples] each; 1 if none changed.

    Of the examples that exactly one of the two has right, half would be the first's by chance (binomial test).
    ValueError if the lengths differ.
    """
    from scipy.stats import binomtest

    a, b = np.asarray(a_correct, dtype=bool), np.asarray(b_correct, dtype=bool)
    if a.shape != b.shape:
        raise ValueError(f"{a.size} examples against {b.size}; compare the same examples")
    gained, lost = int((a & ~b).sum()), int((~a & b).sum())
    return float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0


def paired_bootstrap(
    scores_a: Scores, scores_b: Scores, clusters: Sequence | np.ndarray, resamples: int = RESAMPLES, seed: int = 0
) -> float:
    """Two-sided p-value of the mean difference of two conditions on the same examples, [examples] each.

    Clusters are drawn as in :func:`cluster_bootstrap`; p is twice the share of draws whose difference lies on the
    other side of 0, or at it, with the observed data counted as one draw: at least 2 / (resamples + 1).
    1 if nothing changed, or with one cluster alone.

    ValueError if the lengths differ.
    """
    a, b = _checked(scores_a), _checked(scores_b)
    if a.shape != b.shape:
        raise ValueError(f"{a.size} examples against {b.size}; compare the same examples")
    sums, sizes = _by_cluster(a - b, clusters)
    if len(sizes) < 2 or not (a != b).any():
        return 1.0
    drawn = _bootstrap(sums, sizes, 0.95, resamples, seed).bootstrap_distribution
    # What cancels out may leave a rounding error: it lies at 0, so on both sides.
    beyond = min(int((drawn <= _ROUNDING).sum()), int((drawn >= -_ROUNDING).sum()))
    return min(1.0, 2 * (1 + beyond) / (len(drawn) + 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted by Holm's step-down procedure (Holm, 1979), in the order given.

    Rejecting those at or below alpha keeps the chance of any false rejection at or below alpha.
    ValueError on a p-value outside 0 to 1.
    """
    p = np.asarray(p_values, dtype=float)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p-values must lie between 0 and 1: {p_values}")
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted.tolist()


def read_predictions(path: str | os.PathLike, scoring: Scoring, expected: Condition | None = None) -> Predictions:
    """The scores in a condition's predictions file, of a task that is scored so.

    ArtifactError, naming the file, if it is not there, damaged, or of another condition than ``expected``; ValueError,
    naming it too, if it lacks a column, holds no example, an example without an id, a duplicate id, or a score that
    does not lie between 0 and 1.
    """
    from langneurons.artifacts.parquet import read_parquet

    path = os.fspath(path)
    columns = {name: metric.column for name, metric in scoring.metrics.items()}
    wanted = ["id", *([scoring.clusters] if scoring.clusters else []), *columns.values()]
    facts = {} if expected is None else condition_facts(expected)
    table, said = read_parquet(path, PREDICTIONS, facts, wanted)
    ids = table["id"].to_pylist()
    if not ids:
        raise ValueError(f"{path}: holds no example; evaluate this condition again")
    for name in wanted:
        if table[name].null_count:
            row = table[name].is_null().to_pylist().index(True)
            raise ValueError(f"{path}: no {name} in row {row + 1}; evaluate this condition again")
    if len(set(ids)) < len(ids):
        ((duplicate, times),) = Counter(ids).most_common(1)
        raise ValueError(f"{path}: id {duplicate!r} is there {times} times; evaluate this condition again")
    scores = {metric: np.asarray(table[column].to_numpy(), float) for metric, column in columns.items()}
    for metric, values in scores.items():
        if not ((values >= 0) & (values <= 1)).all():
            raise ValueError(f"{path}: {columns[metric]} has values that are not from 0 to 1; evaluate again")
    clusters = np.array(table[scoring.clusters].to_pylist() if scoring.clusters else ids)
    return Predictions(path, tuple(ids), clusters, scores, scoring, said.get("metrics") or {}, said.get("model"))


def interval(
    predictions: Predictions, metric: str, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """Confidence interval of a condition's metric, in percent.

    Wilson's of a binary metric on independent examples, as accuracy; the cluster bootstrap's else.
    """
    scores, scoring = _scores(predictions, metric), predictions.scoring
    if scoring.metrics[metric].binary and scoring.clusters is None:
        return wilson(int(scores.sum()), len(scores), level)
    return cluster_bootstrap(scores, predictions.clusters, level, resamples, seed)


def compare(a: Predictions, b: Predictions, metric: str, resamples: int = RESAMPLES, seed: int = 0) -> Comparison:
    """``a`` minus ``b`` on the same examples, matched by id: McNemar of a binary metric, bootstrap of another.

    ValueError naming both files if they do not hold the same ids, or the same clusters.
    """
    place = {example: i for i, example in enumerate(b.ids)}
    if set(a.ids) != set(place):
        example = min(set(a.ids) ^ set(place))
        without = b.path if example in set(a.ids) else a.path
        raise ValueError(
            f"{a.path} and {b.path} do not hold the same examples ({len(a.ids)} and {len(b.ids)}; {without} has no "
            f"{example!r}); evaluate both conditions again"
        )
    if a.model != b.model:
        raise ValueError(f"{a.path} and {b.path} are of different snapshots of the model; evaluate both again")
    order = np.array([place[example] for example in a.ids])
    if (a.clusters != b.clusters[order]).any():
        raise ValueError(
            f"{a.path} and {b.path} assign examples to different {a.scoring.clusters}s; evaluate both again"
        )
    first, second = _scores(a, metric), _scores(b, metric)[order]
    if a.scoring.metrics[metric].binary:
        p = mcnemar(first == 1, second == 1)
    else:
        p = paired_bootstrap(first, second, a.clusters, resamples, seed)
    return Comparison(100 * float((first - second).mean()), p)


def paired(
    predictions_a_path: str | os.PathLike,
    predictions_b_path: str | os.PathLike,
    scoring: Scoring,
    metric: str,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """:func:`compare` two predictions files, first minus second, with the errors of :func:`read_predictions`."""
    a, b = (read_predictions(path, scoring) for path in (predictions_a_path, predictions_b_path))
    return compare(a, b, metric, resamples, seed)


def _scores(predictions: Predictions, metric: str) -> np.ndarray:
    if metric not in predictions.scores:
        raise ValueError(f"{predictions.path}: no metric {metric!r}; write one of {', '.join(predictions.scores)}")
    return predictions.scores[metric]


def _checked(scores: Scores) -> np.ndarray:
    values = np.asarray(scores, dtype=float)
    if values.ndim != 1 or not values.size:
        raise ValueError(f"scores have the shape {values.shape}; give one of each example, and at least one")
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("scores must lie between 0 and 1")
    return values


def _by_cluster(values: np.ndarray, clusters: Sequence | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum and number of the values of each cluster, both [clusters], the clusters sorted."""
    if len(clusters) != len(values):
        raise ValueError(f"{len(values)} scores in {len(clusters)} clusters' places; give a cluster to each score")
    _, which = np.unique(np.asarray(clusters), return_inverse=True)
    return np.bincount(which, weights=values), np.bincount(which).astype(float)


def _bootstrap(sums: np.ndarray, sizes: np.ndarray, level: float, resamples: int, seed: int) -> Any:
    """scipy's percentile bootstrap of sum of ``sums`` / sum of ``sizes``, drawing clusters."""
    from scipy.stats import bootstrap

    return bootstrap(
        (sums, sizes),
        lambda total, size, axis: total.sum(axis=axis) / size.sum(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=resamples,
        batch=_BATCH,
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
