"""What each number of a table can bear: its interval, and whether an intervention differs from none."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace

from langneurons.evaluation.scoring import Scoring
from langneurons.evaluation.significance import RESAMPLES, Predictions, compare, holm, interval, read_predictions
from langneurons.experiment.condition import Condition

Metrics = dict[Condition, dict[str, float | int]]

ROUNDING = 1e-9  # of a percentage: the two sums add the scores in another order


def with_uncertainty(
    metrics: Mapping[Condition, Mapping[str, float | int]],
    predictions: Mapping[Condition, str | os.PathLike],
    scoring: Scoring,
    level: float,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Metrics:
    """``metrics`` (as ``tables.read_metrics`` gives them) with the uncertainty of the printed ones.

    Each condition gains ``{name}_low`` and ``{name}_high``, the interval of confidence ``level`` in percent
    (``significance.interval``); each with an intervention also ``{name}_p``, the two-sided p-value against the same
    condition without (``significance.compare``), and ``{name}_p_holm``, corrected by Holm over all of them.
    ``predictions`` are each condition's predictions file; ``resamples`` and ``seed`` are a bootstrap's, which
    accuracy has none of.

    ValueError naming the file if a condition's predictions are not there or faulty, are not as many as its metrics
    count, do not give its metrics, or are of other examples than those it is compared with.
    """
    names = list(scoring.columns.values())
    read: dict[Condition, Predictions] = {}
    found: Metrics = {}
    for condition, values in metrics.items():
        if condition not in predictions:
            raise ValueError(f"no predictions of {condition}; evaluate this condition")
        read[condition] = agreeing(predictions[condition], condition, values, scoring)
        found[condition] = dict(values)
        for name in names:
            low, high = interval(read[condition], name, level, resamples, seed)
            found[condition] |= {f"{name}_low": low, f"{name}_high": high}
    tested = []
    for condition, own in read.items():
        none = replace(condition, intervention="none")
        if condition == none or none not in read:
            continue
        for name in names:
            found[condition][f"{name}_p"] = compare(own, read[none], name, resamples, seed).p
            tested.append((condition, name))
    adjusted = holm([found[condition][f"{name}_p"] for condition, name in tested])
    for (condition, name), p in zip(tested, adjusted, strict=True):
        found[condition][f"{name}_p_holm"] = p
    return found


def corrected(metrics: Mapping[Condition, Mapping[str, float | int]]) -> list[float]:
    """Every Holm-corrected p-value in what ``with_uncertainty`` gave."""
    return [value for values in metrics.values() for name, value in values.items() if name.endswith("_p_holm")]


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
