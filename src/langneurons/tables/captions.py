"""What a table says of its numbers: the caption and the notes below it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from langneurons.evaluation.scoring import Scoring
from langneurons.experiment.comparison import BETTER, EQUIVALENT, INTERVENTION, WORSE
from langneurons.experiment.condition import BASE, PRETRAINED
from langneurons.tables.formats import DIFFERS, SAME, heading

if TYPE_CHECKING:
    import pandas

PAIR = ("_em", "_f1")
"""Suffixes of two columns that share a cell: EM (F1)."""
KINDS = {
    "interventions": "zero-shot transfer, with each language's neurons set to a constant at test time",
    "finetuning": "after fine-tuning the neurons of FTL beside the attention layers",
}
STATISTICS = "Activation statistics, averaged over all neurons of the model."
NO_INTERVAL = "An average over all neurons of a model is no sample of them: it has no interval."
EXAMPLES_ALONE = "Our interval is for the choice of test examples; another training run would vary too."


def caption(scoring: Scoring, kind: str, finetuning: str = BASE) -> str:
    """Caption of a table of conditions; ``finetuning``: the one of all of them, where there is one."""
    return f"{_title(scoring)}: {KINDS[kind]}{of_model(finetuning)}."


def of_model(finetuning: str) -> str:
    """The end of a caption's sentence that says that a table's model was not fine-tuned."""
    return ", of the pretrained model" if finetuning == PRETRAINED else ""


def _title(scoring: Scoring) -> str:
    """Task and metrics; of a pair that shares a cell, as the cell has it."""
    if tuple(scoring.columns) != PAIR:
        return scoring.title
    first, second = (metric.label for metric in scoring.printed_metrics())
    return f"{scoring.task} {first} ({second}), %"


def uncertainty(scoring: Scoring, frame: pandas.DataFrame, params: Mapping[str, Any]) -> list[str]:
    """Notes on the intervals and verdicts of a table of conditions, and how large a gain they leave possible.

    ``params``: the table's ``significance``, ``families`` and ``titles``.
    """
    chosen, notes = params["significance"], []
    level = f"{100 * chosen['level']:g} %"
    verdicts = [name for name in frame.columns if name.endswith("_verdict")]
    if verdicts:
        question = f"{params['task']}.{INTERVENTION}"
        test = tested(scoring, chosen["level"], params["families"][question])
        found = {verdict for name in verdicts for verdict in frame[name].dropna()}
        if found & {BETTER, WORSE}:
            notes.append(f"{DIFFERS} differs from No Int on the same examples: {test}.")
        else:
            notes.append(f"No intervention differs from No Int on the same examples: {test}.")
        if EQUIVALENT in found:
            notes.append(f"{SAME} equivalent: the {level} interval of the difference {within(chosen['margin'])}.")
        notes += largest_gain(scoring, frame, level)
    if scoring.draws():
        kind = f"by bootstrap, {chosen['resamples']:,} draws of whole {scoring.clusters or 'example'}s"
    else:
        kind = "Wilson's"
    notes.append(f"The TSV has each number's {level} interval ({kind}), and each difference's with its verdict.")
    return notes


def tested(scoring: Scoring, level: float, family: int) -> str:
    """How differences are tested: the largest p, the test, and what it is corrected for."""
    test = f"randomisation test over whole {scoring.clusters or 'example'}s"
    label = scoring.metrics[scoring.primary].label
    return (
        f"p at most {1 - level:g} ({test}, Bonferroni's correction for the {family} comparisons of this run in {label})"
    )


def within(margin: float) -> str:
    """What equivalence asks of an interval."""
    return f"lies within {margin:g} point{'s' if margin != 1 else ''} of 0"


def largest_gain(scoring: Scoring, frame: pandas.DataFrame, level: str) -> list[str]:
    """The highest end of a difference's interval in the primary metric, and whose it is; nothing without neurons."""
    suffix = next(suffix for suffix, metric in scoring.columns.items() if metric == scoring.primary)
    ends = [name for name in frame.columns if name.endswith(f"{suffix}_effect_high")]
    acting = frame[(frame["neurons"].fillna(0) > 0) & (frame["method"] != "")]
    found = [
        (float(row[name]), f"{row['model']}, {row['method']}, {row['language']}", name)
        for row in acting.astype(object).where(acting.notna(), None).to_dict("records")
        for name in ends
        if row[name] is not None
    ]
    if not found:
        return []
    gain, place, name = max(found)
    intervention = heading(name.removesuffix(f"{suffix}_effect_high"))
    label = scoring.metrics[scoring.primary].label
    return [f"The largest gain in {label} that is not excluded ({level}): {gain:.1f} points ({place}, {intervention})."]


def against_paper(number: int, inside: list[str], lacking: int, level: float, own: list[str]) -> list[str]:
    """Notes below our numbers beside those of the paper's table.

    ``inside``: of each number with an interval, ``yes`` or ``no``; ``lacking``: how many of the paper's numbers have
    no counterpart; ``own``: the task's notes on its metrics.
    """
    if not inside:
        notes = [NO_INTERVAL]
    else:
        count = f"{inside.count('yes')} of {len(inside)}"
        notes = [f"The paper's number lies in our {100 * level:g} % interval in {count} cases.", EXAMPLES_ALONE]
    notes += own
    if lacking:
        notes.append(f"{lacking} numbers of the paper's Table {number} have no counterpart here.")
    return notes
