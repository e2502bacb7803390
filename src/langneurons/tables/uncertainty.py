"""What each number of a table can bear: its interval, and what an intervention's difference from none says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from langneurons.evaluation.scoring import Scoring
from langneurons.evaluation.significance import interval
from langneurons.experiment.comparison import Compared
from langneurons.experiment.condition import Condition
from langneurons.tables.condition_files import reader
from langneurons.tables.verdicts import measured, rules_of

Metrics = dict[Condition, dict[str, Any]]


def with_uncertainty(
    metrics: Mapping[Condition, Mapping[str, float | int]],
    predictions: Iterable[str],
    compared: Iterable[Compared],
    params: Mapping[str, Any],
) -> Metrics:
    """``metrics`` (as ``condition_tables.read_metrics`` gives them) with the uncertainty of the printed ones.

    Each condition gains ``{name}_low`` and ``{name}_high``, its interval in percent (``significance.interval``); each
    that is ``compared`` also its ``{name}_effect`` in points, with ``{name}_effect_low`` and ``_high``, ``{name}_p``,
    ``{name}_p_adjusted`` and ``{name}_verdict`` (``evaluation.comparisons``). ``predictions``: the files;
    ``params``: the table's ``scoring``, ``significance`` and ``families``.

    ValueError naming the file if a condition's predictions are not there or faulty, are not as many as its metrics
    count, do not give its metrics, or are of other examples than those it is compared with.
    """
    scoring, chosen = Scoring.of(params["scoring"]), params["significance"]
    names = list(scoring.columns.values())
    read = reader(metrics, predictions, scoring)
    found: Metrics = {}
    neurons = {condition: int(values["neurons"]) for condition, values in metrics.items()}
    for condition, values in metrics.items():
        found[condition] = dict(values)
        for name in names:
            low, high = interval(read(condition), name, chosen["level"], chosen["resamples"], chosen["seed"])
            found[condition] |= {f"{name}_low": low, f"{name}_high": high}
    for one in compared:
        for name in names:
            result = measured(one, read, neurons, name, rules_of(params, one.question))
            found[one.condition] |= {
                f"{name}_effect": result.effect,
                f"{name}_effect_low": result.low,
                f"{name}_effect_high": result.high,
                f"{name}_p": result.p,
                f"{name}_p_adjusted": result.p_adjusted,
                f"{name}_verdict": result.verdict,
            }
    return found
