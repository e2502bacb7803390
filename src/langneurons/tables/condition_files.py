"""Predictions of a table's conditions: read once each, and held against what their metrics files say."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from functools import cache

from langneurons.evaluation.scoring import Scoring
from langneurons.evaluation.significance import Predictions, read_predictions
from langneurons.experiment.condition import Condition
from langneurons.experiment.paths import condition_of

ROUNDING = 1e-9  # of a percentage: the two sums add the scores in another order


def reader(
    metrics: Mapping[Condition, Mapping[str, float | int]], paths: Iterable[str], scoring: Scoring
) -> Callable[[Condition], Predictions]:
    """Reads a condition's predictions, each file once, and holds them against its metrics (``agreeing``)."""
    files = {condition_of(path): path for path in paths}

    @cache
    def read(condition: Condition) -> Predictions:
        if condition not in files:
            raise ValueError(f"no predictions of {condition}; evaluate this condition")
        return agreeing(files[condition], condition, metrics[condition], scoring)

    return read


def agreeing(
    path: str | os.PathLike, condition: Condition, values: Mapping[str, float | int], scoring: Scoring
) -> Predictions:
    """A condition's predictions, after a comparison with ``values``, what its metrics file says.

    ValueError, naming the file, if they are of another condition, not as many as the metrics count, or do not give the
    printed metrics; and if the metrics that they say they have are others.
    """
    found = read_predictions(path, scoring, condition)
    if len(found.ids) != values["examples"]:
        raise ValueError(
            f"{found.path}: holds {len(found.ids)} examples where the metrics count {values['examples']}; "
            "evaluate this condition again"
        )
    for name in scoring.columns.values():
        mean = 100 * float(found.scores[name].mean())
        if not abs(mean - values[name]) <= ROUNDING:
            raise ValueError(
                f"{found.path}: {name} is {mean:g} over these examples and {values[name]:g} in the metrics; "
                "evaluate this condition again"
            )
    for name, said in found.metrics.items():
        if name in values and values[name] != said:
            raise ValueError(
                f"{found.path}: was written with {name} {said!r}, its metrics file says {values[name]!r}; "
                "evaluate this condition again"
            )
    return found
