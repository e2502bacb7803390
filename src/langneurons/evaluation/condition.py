"""Evaluating one condition: predictions of every example, and one line of metrics."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, cast

import pyarrow as pa

from langneurons.artifacts.parquet import write_parquet
from langneurons.artifacts.tsv import write_tsv
from langneurons.evaluation.scoring import Metric
from langneurons.evaluation.significance import PREDICTIONS
from langneurons.experiment.condition import Condition, condition_facts, split_intervention
from langneurons.finite import check_finite
from langneurons.interventions.base import find, operation
from langneurons.interventions.hook import intervene
from langneurons.interventions.values import intervention_values
from langneurons.methods.mask import NeuronMask

if TYPE_CHECKING:
    from langneurons.models.types import LanguageModel


def intervention(
    model: LanguageModel,
    model_path: str | os.PathLike,
    condition: Condition,
    mask: str | os.PathLike | None,
    statistics: Mapping[str, str | os.PathLike],
    site: str | None,
    expected_statistics: Mapping[str, Mapping] | None = None,
    method_settings: Mapping | None = None,
) -> tuple[contextlib.AbstractContextManager, int]:
    """A context manager for the condition's intervention on ``model``, and how many neurons it changes.

    ``model_path``: the snapshot that ``model`` was loaded from. ``none`` gives a context that does nothing and 0
    neurons; a language without neurons likewise. ``statistics``: name -> file of each that the intervention reads;
    ``expected_statistics``: name -> further facts that it must have (``site``, ``estimate``); ``method_settings``: what
    the mask must have been made with. ValueError on a mask of another method, model or settings, of the same shape or
    not, and on statistics of another language or model.
    """
    from langneurons.models.loading import snapshot_digest
    from langneurons.models.neurons import find_neurons

    value, method = split_intervention(condition.intervention)
    if method is None:
        return contextlib.nullcontext(), 0
    # With a method there are a mask and a site.
    sites, digest = find_neurons(model), snapshot_digest(model_path)
    said = {"method": method, "model_key": condition.model, "model": digest}
    found = NeuronMask.read(
        cast("str | os.PathLike", mask), said | ({"settings": method_settings} if method_settings else {})
    )
    found.check_model(len(sites.layers), sites.neurons_per_layer, digest)
    neurons = found.neurons(condition.language)
    expected = {"language": condition.language, "model_key": condition.model, "model": digest}
    key, _ = find(value)
    facts = {name: expected | dict((expected_statistics or {}).get(name, {})) for name in statistics}
    values = intervention_values(value, statistics, neurons, facts)
    return intervene(model, neurons, values, cast(str, site), operation(key).apply), found.count(condition.language)


def write_condition(
    condition: Condition,
    numbers: Mapping[str, float | int],
    predictions: pa.Table,
    scores: Mapping[str, Metric],
    metrics_path: str | os.PathLike,
    predictions_path: str | os.PathLike,
    model: str | None = None,
) -> None:
    """Write the one-row metrics TSV and the predictions Parquet of a condition.

    ``numbers``: ``neurons``, ``examples``, ``dropped`` and the task's metrics in percent (``scores``, by name), in this
    order. The predictions say which condition they are of, the snapshot's digest (``model``) and the numbers, so that
    the two files cannot be of different evaluations unnoticed. ValueError, naming the file, for a number that is not
    finite, and for predictions without a metric's column.
    """
    for name, value in numbers.items():
        check_finite(value, f"{metrics_path}: {name}")
    units = {metric.column: "0 to 1, of one example" for metric in scores.values()}
    if lacking := [column for column in ("id", *units) if column not in predictions.column_names]:
        raise ValueError(f"{predictions_path}: the task's evaluate gave no column {', '.join(lacking)}; add it there")
    facts = condition_facts(condition) | {"model": model, "metrics": dict(numbers), "units": units}
    write_parquet(predictions_path, predictions, PREDICTIONS, facts)
    write_tsv(metrics_path, [*asdict(condition), *numbers], [asdict(condition) | dict(numbers)])
