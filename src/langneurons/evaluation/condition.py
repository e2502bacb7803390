"""Evaluating one condition: predictions of every example, and one line of metrics."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import asdict

import pyarrow as pa

from langneurons.artifacts.parquet import write_parquet
from langneurons.artifacts.tsv import write_tsv
from langneurons.evaluation.significance import METRICS, PREDICTIONS
from langneurons.experiment.condition import Condition, condition_facts, split_intervention
from langneurons.finite import check_finite
from langneurons.interventions.base import find, operation
from langneurons.interventions.hook import intervene
from langneurons.interventions.values import intervention_values
from langneurons.methods.mask import NeuronMask

UNITS = {task: dict.fromkeys(columns.values(), "0 to 1, of one example") for task, columns in METRICS.items()}


def intervention(
    model,
    model_path: str | os.PathLike,
    condition: Condition,
    mask: str | None,
    statistics: Mapping[str, str | os.PathLike],
    site: str | None,
    expected_statistics: Mapping[str, Mapping] | None = None,
    method_settings: Mapping | None = None,
):
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
    sites, digest = find_neurons(model), snapshot_digest(model_path)
    said = {"method": method, "model_key": condition.model, "model": digest}
    found = NeuronMask.read(mask, said | ({"settings": method_settings} if method_settings else {}))
    found.check_model(len(sites.layers), sites.neurons_per_layer, digest)
    neurons = found.neurons(condition.language)
    expected = {"language": condition.language, "model_key": condition.model, "model": digest}
    key, _ = find(value)
    facts = {name: expected | dict((expected_statistics or {}).get(name, {})) for name in statistics}
    values = intervention_values(value, statistics, neurons, facts)
    return intervene(model, neurons, values, site, operation(key).apply), found.count(condition.language)


def evaluate_xnli(
    model, tokenizer, table: pa.Table, separator: str, max_tokens: int, batch_tokens: int, where: str = "xnli"
) -> tuple[dict, pa.Table]:
    """Accuracy and predictions of a classification model on a task table (paper, appendix B.1).

    ``where`` is the condition, for errors. ValueError for a logit that is not finite.
    """
    from langneurons.evaluation.classification import classify
    from langneurons.tasks.metrics import accuracy
    from langneurons.tasks.xnli import encode

    encoded = encode(table, tokenizer, max_tokens, separator)
    logits = classify(model, encoded.examples, batch_tokens, tokenizer.pad_token_id, f"{where}: a logit")
    gold, predicted = list(encoded.examples["labels"]), logits.argmax(axis=1).tolist()
    metrics = {"examples": len(gold), "dropped": encoded.dropped, "accuracy": accuracy(predicted, gold)}
    predictions = pa.table(
        {
            "id": pa.array(list(encoded.examples["id"]), pa.string()),
            "gold": pa.array(gold, pa.int8()),
            "prediction": pa.array(predicted, pa.int8()),
            "score": pa.array([float(p == g) for p, g in zip(predicted, gold, strict=True)], pa.float64()),
            "logits": pa.array(logits.tolist(), pa.list_(pa.float32())),
        }
    )
    return metrics, predictions


def evaluate_xquad(
    model,
    tokenizer,
    table: pa.Table,
    language: str,
    prompt: str,
    max_tokens: int,
    max_new_tokens: int,
    batch_tokens: int,
    where: str = "xquad",
) -> tuple[dict, pa.Table]:
    """Exact match and F1 by both metrics, and the generated answers (paper, appendix B.1).

    ``where`` is the condition, for errors. ValueError for a logit that is not finite.
    """
    from langneurons.evaluation.generation import generate_answers
    from langneurons.tasks.metrics import percent, score_answer
    from langneurons.tasks.xquad import answer_text, encode_prompts

    encoded = encode_prompts(table, tokenizer, max_tokens, prompt)
    examples = encoded.examples
    generated = generate_answers(
        model,
        list(examples["input_ids"]),
        max_new_tokens,
        [tokenizer.eos_token_id],
        tokenizer.pad_token_id,
        batch_tokens,
        list(examples["id"]),
        f"{where}: the best logit",
    )
    texts = [answer_text(tokenizer, tokens) for tokens in generated]
    gold = list(examples["answers"])
    scores = [
        score_answer(text, answers, language, tokens, first)
        for text, answers, tokens, first in zip(texts, gold, generated, examples["first_answer_ids"], strict=True)
    ]
    names = ("exact_match", "f1", "exact_match_model_tokens", "f1_model_tokens")
    metrics: dict = {"examples": len(texts), "dropped": encoded.dropped}
    metrics |= {name: percent(score[name] for score in scores) for name in names}
    columns: dict = {
        "id": pa.array(list(examples["id"]), pa.string()),
        "paragraph": pa.array(list(examples["paragraph"]), pa.string()),
        "gold": pa.array(gold, pa.list_(pa.string())),
        "prediction": pa.array(texts, pa.string()),
    }
    columns |= {name: pa.array([score[name] for score in scores], pa.float64()) for name in names}
    return metrics, pa.table(columns)


def write_condition(
    condition: Condition,
    neurons: int,
    metrics: Mapping,
    predictions: pa.Table,
    metrics_path: str | os.PathLike,
    predictions_path: str | os.PathLike,
    model: str | None = None,
) -> None:
    """Write the one-row metrics TSV and the predictions Parquet of a condition.

    The predictions say which condition they are of, the snapshot's digest (``model``) and the metrics, so that the two
    files cannot be of different evaluations unnoticed. ValueError, naming the file, for a metric that is not finite.
    """
    numbers = {"neurons": neurons} | dict(metrics)
    for name, value in numbers.items():
        check_finite(value, f"{metrics_path}: {name}")
    facts = condition_facts(condition) | {"model": model, "metrics": numbers, "units": UNITS[condition.task]}
    write_parquet(predictions_path, predictions, PREDICTIONS, facts)
    write_tsv(metrics_path, [*asdict(condition), *numbers], [asdict(condition) | numbers])
