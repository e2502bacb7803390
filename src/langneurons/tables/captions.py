"""What a table says of its numbers: the caption and the notes below it."""

from __future__ import annotations

from langneurons.evaluation.scoring import Scoring
from langneurons.experiment.condition import BASE, PRETRAINED

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


def uncertainty(scoring: Scoring, adjusted: list[float], level: float, resamples: int | None = None) -> list[str]:
    """Notes on a table's intervals and comparisons with no intervention.

    ``adjusted``: the Holm-corrected p-values of all comparisons of the table; ``resamples``: draws of the bootstrap,
    for a task that has one.
    """
    alpha, notes = 1 - level, []
    binary, drawn = scoring.printed(binary=True), scoring.printed(binary=False)
    tests = [("exact McNemar test", binary)] if binary else []
    tests += [("paired bootstrap", drawn)] if drawn else []
    alone = len(tests) == 1
    test = ", ".join(name if alone else f"{name} of {' and '.join(labels)}" for name, labels in tests)
    kind = (
        f"by bootstrap, {resamples:,} draws of whole {scoring.clusters or 'example'}s"
        if scoring.draws()
        else "Wilson's"
    )
    if adjusted:
        test = f"{test}, Holm's correction over the {len(adjusted)} comparisons of this table"
        if any(p <= alpha for p in adjusted):
            notes.append(f"* differs from No Int on the same examples: p at most {alpha:g} ({test}).")
        else:
            notes.append(
                f"No intervention differs from No Int on the same examples: every p is above {alpha:g} ({test})."
            )
        if drawn and resamples and 2 / (resamples + 1) * len(adjusted) > alpha:
            said = f"{resamples:,} draws are too few to tell any {' or '.join(drawn)} apart after the correction"
            notes.append(f"{said}: draw more.")
    notes.append(f"The TSV has each number's {100 * level:g} % interval ({kind}).")
    return notes


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
