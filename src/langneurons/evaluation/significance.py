"""What a metric's number can bear: the scores of a condition's examples, and the interval of their mean.

Intervals are in percent, as the tables are; scores of examples go from 0 to 1. scipy and pyarrow
are imported inside the functions, so that importing this module stays light.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from langneurons.evaluation.randomisation import by_cluster
from langneurons.evaluation.scoring import Scoring
from langneurons.experiment.condition import Condition, condition_facts

if TYPE_CHECKING:
    Scores = Sequence[float] | np.ndarray

PREDICTIONS = "predictions"
RESAMPLES = 10_000
_BATCH = 1_000  # resamples held in memory at once


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

    def of(self, metric: str) -> np.ndarray:
        """The scores of a metric [examples]; ValueError for one that the task has not."""
        if metric not in self.scores:
            raise ValueError(f"{self.path}: no metric {metric!r}; write one of {', '.join(self.scores)}")
        return self.scores[metric]


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
    sums, sizes = by_cluster(_checked(scores), clusters)
    if len(sizes) < 2:
        return 0.0, 100.0
    share = sums.sum() / sizes.sum()
    if share in (0.0, 1.0):
        return wilson(int(share) * len(sizes), len(sizes), level)
    interval = _bootstrap(sums, sizes, level, resamples, seed).confidence_interval
    return 100 * float(interval.low), 100 * float(interval.high)


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
    scores, scoring = predictions.of(metric), predictions.scoring
    if scoring.metrics[metric].binary and scoring.clusters is None:
        return wilson(int(scores.sum()), len(scores), level)
    return cluster_bootstrap(scores, predictions.clusters, level, resamples, seed)


def aligned(own: Predictions, other: Predictions) -> Predictions:
    """``other`` in the order of ``own``'s examples, matched by id.

    ValueError naming both files if they do not hold the same ids, the same clusters, or are of two snapshots.
    """
    place = {example: i for i, example in enumerate(other.ids)}
    if set(own.ids) != set(place):
        example = min(set(own.ids) ^ set(place))
        without = other.path if example in set(own.ids) else own.path
        raise ValueError(
            f"{own.path} and {other.path} do not hold the same examples ({len(own.ids)} and {len(other.ids)}; "
            f"{without} has no {example!r}); evaluate both conditions again"
        )
    if own.model != other.model:
        raise ValueError(f"{own.path} and {other.path} are of different snapshots of the model; evaluate both again")
    order = np.array([place[example] for example in own.ids])
    if (own.clusters != other.clusters[order]).any():
        raise ValueError(
            f"{own.path} and {other.path} assign examples to different {own.scoring.clusters}s; evaluate both again"
        )
    scores = {name: values[order] for name, values in other.scores.items()}
    return replace(other, ids=own.ids, clusters=own.clusters, scores=scores)


def _checked(scores: Scores) -> np.ndarray:
    values = np.asarray(scores, dtype=float)
    if values.ndim != 1 or not values.size:
        raise ValueError(f"scores have the shape {values.shape}; give one of each example, and at least one")
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("scores must lie between 0 and 1")
    return values


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
