"""Interventions on a language's own neurons beside the same on as many random ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from statistics import mean
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from langneurons.evaluation.scoring import Scoring
from langneurons.experiment.comparison import BETTER, INTERVENTION, RANDOM, WORSE, Compared
from langneurons.experiment.condition import NONE, Condition, spell_intervention, split_intervention
from langneurons.experiment.paths import condition_of
from langneurons.sections.tables import TransferTable
from langneurons.tables.base import Context, Finding, Text
from langneurons.tables.captions import of_model
from langneurons.tables.checks import intervention_checks, known_groups, task_checks
from langneurons.tables.columns import columns_text
from langneurons.tables.common import common_params, condition_inputs, models_of, notes_of, targets_of, task_of
from langneurons.tables.condition_files import reader
from langneurons.tables.findings import number, place
from langneurons.tables.rows import ControlRow
from langneurons.tables.verdicts import measured, rules_of, significance_params
from langneurons.tasks.base import scoring_of

if TYPE_CHECKING:
    import pandas

    from langneurons.evaluation.significance import Predictions

ENTRY_OF = "tables"
DECIMALS = 1
MEANING = """\
Would the same number of any neurons have done as much? Each intervention is repeated on random neurons, as many in each
layer as the language's own; several draws. *Own - random* is the difference between the metric with the language's own
neurons and its mean over the draws, with the interval that the spread of the draws and the choice of examples leave.
"""
COLUMNS = {
    "model": ("Model", ""),
    "method": ("Method", ""),
    "language": ("EL", ""),
    "intervention": ("Intervention", ""),
    "metric": ("Metric", ""),
    "neurons": ("Neurons", "d"),
    "examples": ("n", "d"),
    "dropped": ("Dropped", "d"),
    "none": ("No Int", ".1f"),
    "own": ("Own", ".1f"),
    "verdict": ("Against no Int", ""),
    "random_mean": ("Random", ".1f"),
    "random_low": ("Lowest", ".1f"),
    "random_high": ("Highest", ".1f"),
    "difference": ("Own - random", "+.1f"),
    "difference_low": ("from", "+.1f"),
    "difference_high": ("to", "+.1f"),
    "p_random_adjusted": ("p", ".3f"),
    "more_than_random": ("More than random", ""),
}
NOTES = (
    "Random: mean, lowest and highest over {draws} of random neurons, as many in each layer as the language's own.",
    "Own - random has its {level} interval. p: the larger one of Crawford and Howell's t test of the own neurons "
    "against the draws, which accounts for how much masks of random neurons differ among themselves, and of a "
    "randomisation test on the same examples; Bonferroni's correction for the {family} comparisons of this run. More "
    "than random: p at most {alpha}, and further from no intervention than the draws' mean.",
    "The fewer the draws, the larger a difference must be: with {draws}, {times} times the standard deviation of the "
    "draws.",
)
RANDOM_COLUMNS = (
    *("model", "model_key", "method", "method_key", "language", "intervention", "metric", "neurons", "draws"),
    *("examples", "dropped", "none", "own", "random_mean", "random_low", "random_high"),
    *("effect", "effect_low", "effect_high", "p_none", "p_none_adjusted", "verdict"),
    *("difference", "difference_low", "difference_high", "p_random", "p_random_adjusted", "more_than_random"),
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


def comparisons(section: Section, context: Context) -> list[Compared]:
    found = rows(section, context)
    return sorted({one for row in found for one in (against_none(row), against_random(row))})


def against_none(row: ControlRow) -> Compared:
    """A row's own neurons against no intervention."""
    return Compared(INTERVENTION, row.own, (row.none,))


def against_random(row: ControlRow) -> Compared:
    """A row's own neurons against its draws of random ones."""
    return Compared(RANDOM, row.own, row.random)


def inputs(section: Section, context: Context) -> dict[str, list[str]]:
    return condition_inputs(conditions(section, context), context)


def params(section: Section, context: Context) -> dict[str, Any]:
    return common_params(section, context) | {
        "rows": [asdict(row) for row in rows(section, context)],
        "scoring": scoring_of(task_of(section, context)).plain(),
        "notes": notes_of(section, context),
        "significance": significance_params(section.task, context.config),
    }


def frame(params: Mapping[str, Any], inputs: Any) -> pandas.DataFrame:
    from langneurons.tables.condition_tables import read_metrics

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
    return random_controls(found, reader(metrics, inputs.predictions, scoring), metrics, params)


def random_controls(
    rows: Iterable[ControlRow],
    predictions: Callable[[Condition], Predictions],
    metrics: Mapping[Condition, Mapping[str, float | int]],
    params: Mapping[str, Any],
) -> pandas.DataFrame:
    """Every intervention on a language's own neurons beside the same on random ones: one line per row and metric.

    ``predictions(condition)`` reads a condition's scores, ``metrics`` say how many neurons it overwrites and how many
    examples were dropped; ``params``: ``scoring``, ``significance``, ``families`` and ``titles``. Columns
    (``RANDOM_COLUMNS``): the metric (percent) without intervention (``none``), with the own neurons, and with random
    ones: mean, lowest and highest of the ``draws``; ``effect`` = own - none and ``difference`` = own - random mean,
    with intervals and p-values (``evaluation.comparisons.compare``). ``verdict``: of the effect. ``more_than_random``:
    own differs from the draws by the adjusted p, and is further from none than their mean is.

    ValueError if the draws overwrite another number of neurons than the own mask, and for examples that differ.
    """
    import pandas as pd

    scoring = Scoring.of(params["scoring"])
    lines = []
    for row in rows:
        neurons = {c: int(metrics[c]["neurons"]) for c in (row.own, *row.random)}
        if len(set(neurons.values())) > 1:
            said = ", ".join(f"{c.intervention}: {count}" for c, count in neurons.items())
            raise ValueError(f"{row.model}, {row.language}: not as many random neurons ({said}); evaluate them again")
        counts = {"neurons": neurons[row.own], "draws": len(row.random), "dropped": int(metrics[row.own]["dropped"])}
        lines += [_line(row, predictions, neurons, name, params) | counts for name in scoring.columns.values()]
    return pd.DataFrame(lines, columns=list(RANDOM_COLUMNS))


def _line(
    row: ControlRow,
    predictions: Callable[[Condition], Predictions],
    neurons: Mapping[Condition, int],
    metric: str,
    params: Mapping[str, Any],
) -> dict[str, Any]:
    """One line's labels and numbers, but for the counts of its row."""
    none, random = (
        measured(one, predictions, neurons, metric, rules_of(params, one.question))
        for one in (against_none(row), against_random(row))
    )
    draws = [100 * float(predictions(c).of(metric).mean()) for c in row.random]
    further = abs(none.effect) > abs(random.reference - none.reference)
    return {
        "model": params["titles"][row.model],
        "model_key": row.model,
        "method": row.group,
        "method_key": split_intervention(row.own.intervention)[1],
        "language": row.language,
        "intervention": row.intervention,
        "metric": metric.removesuffix("_model_tokens"),
        "examples": none.examples,
        "none": none.reference,
        "own": none.value,
        "random_mean": random.reference,
        "random_low": min(draws),
        "random_high": max(draws),
        "effect": none.effect,
        "effect_low": none.low,
        "effect_high": none.high,
        "p_none": none.p,
        "p_none_adjusted": none.p_adjusted,
        "verdict": none.verdict,
        "difference": random.effect,
        "difference_low": random.low,
        "difference_high": random.high,
        "p_random": random.p,
        "p_random_adjusted": random.p_adjusted,
        "more_than_random": "yes" if random.verdict in (BETTER, WORSE) and further else "no",
    }


def caption(params: Mapping[str, Any]) -> str:
    said = "interventions on the language's own neurons, and on as many random ones"
    return f"{params['scoring']['title']}: {said}{of_model(params['finetuning'])}."


def text(params: Mapping[str, Any], frame: pandas.DataFrame) -> Text:
    from langneurons.evaluation.comparisons import least_difference

    number, level = int(frame["draws"].min()), params["significance"]["level"]
    family = params["families"][f"{params['task']}.{RANDOM}"]
    said = {
        "draws": f"{number} draw{'s' if number > 1 else ''}",
        "level": f"{100 * level:g} %",
        "alpha": f"{1 - level:g}",
        "family": family,
        "times": f"{least_difference(number, (1 - level) / family):.1f}",
    }
    notes = [note.format(**said) for note in (NOTES if number > 1 else NOTES[:2])]
    if number == 1:
        notes.append("One draw tells nothing of how much masks of random neurons differ: p is 1. Add more to methods.")
    one = frame["metric"].nunique() == 1  # then the caption names it
    columns = {name: spec for name, spec in COLUMNS.items() if not (name == "metric" and one)}
    return columns_text(frame, columns, caption(params), notes + params["notes"])


def findings(rows: list[dict[str, str]], scoring: Scoring) -> Finding:
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
    return Finding(f"Does an intervention do more than on as many random neurons? {scoring.task}", " ".join(said))
