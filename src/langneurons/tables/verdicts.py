"""Comparisons of conditions in tables: what they are made by, and their rows in ``comparisons/{question}.tsv``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from langneurons.experiment.comparison import NO_NEURON, RANDOM, Compared
from langneurons.experiment.condition import Condition, split_intervention
from langneurons.tables.condition_files import reader

if TYPE_CHECKING:
    import pandas

    from langneurons.evaluation.comparisons import Comparison, Rules
    from langneurons.evaluation.significance import Predictions
    from langneurons.sections.configuration import Config

COLUMNS = (
    *("model", "model_key", "task", "finetuning", "method_key", "language", "intervention", "against", "metric"),
    *("primary", "neurons", "examples", "dropped", "value", "reference", "effect", "effect_low", "effect_high"),
    *("p", "p_adjusted", "family", "verdict"),
)
"""Of ``comparisons/{question}.tsv``: the condition, what it is compared with, and what came of it."""


def significance_params(task: str, config: Config) -> dict[str, Any]:
    """What verdicts of a task go by, but for the families: level, margin, and what draws and seeds a test."""
    return config.significance.model_dump() | {"seed": config.seed, "margin": config.tasks[task].margin}


def rules_of(params: Mapping[str, Any], question: str) -> Rules:
    """What the verdicts on a question go by, from a table's ``params``; KeyError for a question without a family."""
    from langneurons.evaluation.comparisons import Rules

    return Rules(family=params["families"][question], **params["significance"])


def measured(
    compared: Compared,
    predictions: Callable[[Condition], Predictions],
    neurons: Mapping[Condition, int],
    metric: str,
    rules: Rules,
) -> Comparison:
    """The comparison's numbers and its verdict: the same wherever it is asked for."""
    from langneurons.evaluation.comparisons import compare

    own, references = predictions(compared.condition), [predictions(other) for other in compared.references]
    found = compare(own, references, metric, rules, population=compared.kind == RANDOM)
    return found if neurons[compared.condition] else found._replace(verdict=NO_NEURON)


def comparison_frame(params: Mapping[str, Any], inputs: Any) -> pandas.DataFrame:
    """``comparisons/{question}.tsv``: a row for each distinct comparison and metric of a question (``COLUMNS``).

    ``params``: ``compared`` (``Compared`` as plain values), their task's ``scoring`` and ``significance``, ``families``
    and models' ``titles``; ``inputs``: ``metrics`` and ``predictions``. ValueError naming a file that is damaged or of
    something else.
    """
    import pandas as pd

    from langneurons.evaluation.scoring import Scoring
    from langneurons.experiment.paths import condition_of
    from langneurons.tables.condition_tables import read_metrics

    scoring = Scoring.of(params["scoring"])
    metrics = read_metrics({condition_of(path): path for path in inputs.metrics}, scoring.metrics)
    read = reader(metrics, inputs.predictions, scoring)
    neurons = {condition: int(values["neurons"]) for condition, values in metrics.items()}
    lines = []
    for one in map(Compared.of, params["compared"]):
        rules, condition = rules_of(params, one.question), one.condition
        value, method = split_intervention(condition.intervention)
        for metric in scoring.columns.values():
            found = measured(one, read, neurons, metric, rules)
            lines.append(
                {
                    "model": params["titles"][condition.model],
                    "model_key": condition.model,
                    "task": condition.task,
                    "finetuning": condition.finetuning,
                    "method_key": method,
                    "language": condition.language,
                    "intervention": value,
                    "against": ", ".join(reference.intervention for reference in one.references),
                    "metric": metric,
                    "primary": "yes" if metric == scoring.primary else "no",
                    "neurons": neurons[condition],
                    "examples": found.examples,
                    "dropped": int(metrics[condition]["dropped"]),
                    "value": found.value,
                    "reference": found.reference,
                    "effect": found.effect,
                    "effect_low": found.low,
                    "effect_high": found.high,
                    "p": found.p,
                    "p_adjusted": found.p_adjusted,
                    "family": rules.family,
                    "verdict": found.verdict,
                }
            )
    return pd.DataFrame(lines, columns=list(COLUMNS))
