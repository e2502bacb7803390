"""Interventions on a language's own neurons beside the same on as many random ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from functools import cache
from statistics import mean
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from langneurons.evaluation.scoring import Scoring
from langneurons.experiment.condition import NONE, Condition, spell_intervention, split_intervention
from langneurons.experiment.paths import condition_of
from langneurons.sections.tables import TransferTable
from langneurons.tables.base import Context, Count, Findings, Text
from langneurons.tables.captions import of_model
from langneurons.tables.checks import intervention_checks, known_groups, task_checks
from langneurons.tables.columns import columns_text
from langneurons.tables.common import common_params, condition_inputs, models_of, notes_of, targets_of, task_of
from langneurons.tables.findings import RANDOM, number, place
from langneurons.tables.rows import ControlRow
from langneurons.tasks.base import scoring_of

if TYPE_CHECKING:
    import pandas

    from langneurons.evaluation.significance import Predictions

ENTRY_OF = "tables"
DECIMALS = 1
MEANING = """\
Would the same number of any neurons have done as much? Each intervention is repeated on random neurons, as many in each
layer as the language's own; several draws. *Own - random* is the difference between the metric with the language's own
neurons and its mean over the draws, on the same examples.
"""
COLUMNS = {
    "model": ("Model", ""),
    "method": ("Method", ""),
    "language": ("EL", ""),
    "intervention": ("Intervention", ""),
    "metric": ("Metric", ""),
    "neurons": ("Neurons", "d"),
    "none": ("No Int", ".1f"),
    "own": ("Own", ".1f"),
    "random_mean": ("Random", ".1f"),
    "random_low": ("Lowest", ".1f"),
    "random_high": ("Highest", ".1f"),
    "difference": ("Own - random", "+.1f"),
    "p_random_holm": ("p", ".3f"),
    "differs_from_none": ("Differs from none", ""),
    "more_than_random": ("More than random", ""),
}
NOTES = (
    "Random: mean, lowest and highest over {draws} of random neurons, as many in each layer as the language's own.",
    "p: own against the mean of the draws on the same examples, paired bootstrap, Holm-corrected over this table. "
    "Differs from none: p at most {alpha} by McNemar's test (F1: paired bootstrap), Holm-corrected. More than "
    "random: p at most {alpha}, beyond every draw, and further from no intervention than the draws' mean.",
)
RANDOM_COLUMNS = (
    *("model", "model_key", "method", "method_key", "language", "intervention", "metric", "neurons", "draws"),
    *("none", "own", "random_mean", "random_low", "random_high", "difference"),
    *("p_none", "p_none_holm", "p_random", "p_random_holm", "differs_from_none", "more_than_random"),
)


class Section(TransferTable):
    """Interventions on a language's own neurons beside the same on as many random ones."""

    kind: Literal["random_controls"]
    method_groups: list[str] = Field(
        min_length=1,
        description="Keys of method_groups; the methods of kind random matched to them are their controls.",
    )
    interventions: list[str] = Field(min_length=1, description="Interventions: mean, zero, p90 and the like.")


def checks(name: str, section: Section, context: Context) -> Iterator[tuple[str, str]]:
    yield from task_checks(name, section, context)
    for where, group, members in known_groups(name, section, context):
        if any(context.matched_to(method) for method in members.values() if method in context.config.methods):
            yield where, f"method group '{group}' is itself random; name one that is not"
        elif not controls_of(group, context):
            yield where, f"no method of kind random is matched_to '{group}'; add one to methods"
    yield from intervention_checks(section.interventions, f"tables.{name}", context, none=False)


def controls_of(group: str, context: Context) -> list[str]:
    """Methods of random neurons, as many per layer as the method group's: its controls, one seed each."""
    return [method for method in context.config.methods if context.matched_to(method) == group]


def rows(section: Section, context: Context) -> list[ControlRow]:
    """Rows of the table, in print order."""
    found = []
    for model in models_of(section, context):
        for group in section.method_groups:
            controls = controls_of(group, context)
            for language in targets_of(section, context):

                def condition(intervention: str, model: str = model, language: str = language) -> Condition:
                    return Condition(model, section.task, section.finetuning, language, intervention)

                method = context.config.method_groups[group][language]
                for value in section.interventions:
                    own, none = condition(spell_intervention(value, method)), condition(NONE)
                    random = tuple(condition(spell_intervention(value, control)) for control in controls)
                    found.append(ControlRow(model, group, language, value, none, own, random))
    return found


def conditions(section: Section, context: Context) -> list[Condition]:
    return sorted({c for row in rows(section, context) for c in (row.none, row.own, *row.random)})


def inputs(section: Section, context: Context) -> dict[str, list[str]]:
    return condition_inputs(conditions(section, context), context)


def params(section: Section, context: Context) -> dict[str, Any]:
    config = context.config
    return common_params(section, context) | {
        "rows": [asdict(row) for row in rows(section, context)],
        "scoring": scoring_of(task_of(section, context)).plain(),
        "notes": notes_of(section, context),
        "significance": config.significance.model_dump() | {"seed": config.seed},
    }


def frame(params: Mapping[str, Any], inputs: Any) -> pandas.DataFrame:
    from langneurons.tables.condition_tables import read_metrics
    from langneurons.tables.uncertainty import agreeing

    found = [
        ControlRow(
            **row
            | {name: Condition(**row[name]) for name in ("none", "own")}
            | {"random": tuple(Condition(**c) for c in row["random"])}
        )
        for row in params["rows"]
    ]
    scoring = Scoring.of(params["scoring"])
    metrics = read_metrics({condition_of(path): path for path in inputs.metrics}, scoring.metrics)
    neurons = {condition: int(values["neurons"]) for condition, values in metrics.items()}
    files = {condition_of(path): path for path in inputs.predictions}
    read = cache(lambda condition: agreeing(files[condition], condition, metrics[condition], scoring))
    return random_controls(found, read, neurons, scoring.columns.values(), params["titles"], **params["significance"])


def random_controls(
    rows: Iterable[ControlRow],
    predictions: Callable[[Condition], Predictions],
    neurons: Mapping[Condition, int],
    metrics: Iterable[str],
    titles: Mapping[str, str],
    level: float,
    resamples: int,
    seed: int,
) -> pandas.DataFrame:
    """Every intervention on a language's own neurons beside the same on random ones: one line per row and metric.

    ``predictions(condition)`` reads a condition's scores, ``neurons`` says how many it overwrites, ``metrics`` are
    names in the predictions; ``resamples`` and ``seed`` are the bootstrap's. Columns (``RANDOM_COLUMNS``): the metric
    (percent) without intervention (``none``), with the own neurons, and with random ones: mean, lowest and highest of
    the ``draws``; ``difference`` = own - random mean.
    ``p_none``: own against none, McNemar or paired bootstrap (``significance.compare``). ``p_random``: own against the
    mean of the draws, example by example, by paired bootstrap. Both Holm-corrected over the table (``*_holm``).
    ``differs_from_none``: p_none_holm at most 1 - ``level``. ``more_than_random``: p_random_holm at most that, own
    beyond all of the draws, and further from none than their mean is.

    ValueError if the draws overwrite another number of neurons than the own mask, and for examples that differ.
    """
    import pandas as pd

    from langneurons.evaluation.significance import holm

    lines, metrics, alpha = [], list(metrics), 1 - level
    for row in rows:
        counts = {c.intervention: neurons[c] for c in (row.own, *row.random)}
        if len(set(counts.values())) > 1:
            said = ", ".join(f"{name}: {count}" for name, count in counts.items())
            raise ValueError(f"{row.model}, {row.language}: not as many random neurons ({said}); evaluate them again")
        none, own = predictions(row.none), predictions(row.own)
        draws = [predictions(condition) for condition in row.random]
        for name in metrics:
            lines.append(
                {
                    "model": titles[row.model],
                    "model_key": row.model,
                    "method": row.group,
                    "method_key": split_intervention(row.own.intervention)[1],
                    "language": row.language,
                    "intervention": row.intervention,
                    "metric": name.removesuffix("_model_tokens"),
                    "neurons": neurons[row.own],
                    "draws": len(draws),
                    **_against_random(none, own, draws, name, resamples, seed),
                }
            )
    frame = pd.DataFrame(lines, columns=[c for c in RANDOM_COLUMNS if c in lines[0]])
    for name in ("p_none", "p_random"):
        frame.insert(list(frame.columns).index(name) + 1, f"{name}_holm", holm(frame[name].tolist()))
    outside = (frame["own"] < frame["random_low"]) | (frame["own"] > frame["random_high"])
    further = (frame["own"] - frame["none"]).abs() > (frame["random_mean"] - frame["none"]).abs()
    frame["differs_from_none"] = _words(frame["p_none_holm"] <= alpha)
    frame["more_than_random"] = _words((frame["p_random_holm"] <= alpha) & outside & further)
    return frame[list(RANDOM_COLUMNS)]


def _against_random(
    none: Predictions, own: Predictions, draws: list[Predictions], metric: str, resamples: int, seed: int
) -> dict[str, float]:
    """One line's numbers, in percent, and its p-values, uncorrected."""
    import numpy as np

    from langneurons.evaluation.significance import compare, paired_bootstrap

    values = [100 * float(p.scores[metric].mean()) for p in (none, own, *draws)]
    for draw in draws:
        if draw.ids != own.ids:
            raise ValueError(f"{own.path} and {draw.path} hold other examples or another order; evaluate both again")
    average = np.mean([draw.scores[metric] for draw in draws], axis=0)  # [examples]
    return {
        "none": values[0],
        "own": values[1],
        "random_mean": float(np.mean(values[2:])),
        "random_low": min(values[2:]),
        "random_high": max(values[2:]),
        "difference": values[1] - float(np.mean(values[2:])),
        "p_none": compare(own, none, metric, resamples, seed).p,
        "p_random": paired_bootstrap(own.scores[metric], average, own.clusters, resamples, seed),
    }


def _words(flags: pandas.Series) -> list[str]:
    return ["yes" if flag else "no" for flag in flags]


def caption(params: Mapping[str, Any]) -> str:
    said = "interventions on the language's own neurons, and on as many random ones"
    return f"{params['scoring']['title']}: {said}{of_model(params['finetuning'])}."


def text(params: Mapping[str, Any], frame: pandas.DataFrame) -> Text:
    draws = int(frame["draws"].max())
    said = {"draws": f"{draws} draw{'s' if draws > 1 else ''}", "alpha": f"{1 - params['significance']['level']:g}"}
    notes = [note.format(**said) for note in NOTES] + params["notes"]
    one = frame["metric"].nunique() == 1  # then the caption names it
    columns = {name: spec for name, spec in COLUMNS.items() if not (name == "metric" and one)}
    return columns_text(frame, columns, caption(params), notes)


def findings(name: str, rows: list[dict[str, str]], alpha: float, scoring: Scoring) -> Findings:
    return Findings(_counts(name, rows, scoring), _paragraph(rows, scoring.task))


def _counts(name: str, rows: list[dict[str, str]], scoring: Scoring) -> list[Count]:
    """An intervention and metric each: what does more than random neurons."""
    rows = [row for row in rows if row["neurons"] != "0"]
    counts = []
    for intervention, metric in dict.fromkeys((row["intervention"], row["metric"]) for row in rows):
        compared = [row for row in rows if (row["intervention"], row["metric"]) == (intervention, metric)]
        more = [row for row in compared if row["more_than_random"] == "yes"]
        higher = sum(number(row["difference"]) > 0 for row in more)
        values = (scoring.metrics[metric].label, intervention, len(compared), higher, len(more) - higher)
        counts.append(Count(RANDOM, name, *values))
    return counts


def _paragraph(rows: list[dict[str, str]], task: str) -> tuple[str, str]:
    acting = [row for row in rows if row["neurons"] != "0"]
    more = [row for row in acting if row["more_than_random"] == "yes"]
    said = [f"{len(more)} of {len(acting)} comparisons do more than on as many random neurons."]
    if acting:
        own = mean(abs(number(row["own"]) - number(row["none"])) for row in acting)
        random = mean(abs(number(row["random_mean"]) - number(row["none"])) for row in acting)
        said.append(
            f"On average an intervention moves the metric by {own:.2f} points with the language's own neurons, and by "
            f"{random:.2f} with random ones (mean over the draws)."
        )
    if more:
        said.append("More than random: " + "; ".join(place(row) + f" {row['intervention']}" for row in more) + ".")
    if len(acting) < len(rows):
        said.append(f"{len(rows) - len(acting)} comparisons have no neuron to act on.")
    return f"Does an intervention do more than on as many random neurons? {task}", " ".join(said)
