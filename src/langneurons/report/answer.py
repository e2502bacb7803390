"""The answer to the paper's question, from the comparisons of a run: yes, no or undecided, and how sure that is.

Reads ``comparisons/{question}.tsv`` alone, the primary metric of each: what is said is what was compared.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from langneurons.evaluation.scoring import Scoring
from langneurons.experiment.comparison import BETTER, EQUIVALENT, INTERVENTION, NO_NEURON, RANDOM, VERDICTS, WORSE
from langneurons.tables.findings import number

QUESTION = (
    "Some neurons of a multilingual language model fire for one language and hardly for any other. Does setting a "
    "language's neurons to a constant make the model better at a task in that language? Does it do anything that as "
    "many random neurons would not?"
)


@dataclass(frozen=True)
class Question:
    """What was compared to answer a ``kind`` of question (``experiment.comparison.AGAINST``) of a task.

    ``margin``: the largest effect in points that counts as none; None where the configuration names none.
    ``rows``: of ``comparisons/{question}.tsv``.
    """

    kind: str
    scoring: Scoring
    margin: float | None
    rows: Sequence[Mapping[str, str]]

    def acting(self) -> list[Mapping[str, str]]:
        """The comparisons of the primary metric whose masks have neurons."""
        return [row for row in self.rows if row["primary"] == "yes" and row["verdict"] != NO_NEURON]


class Count(NamedTuple):
    """How the comparisons of one intervention ended; ``largest_gain``: the highest end of an interval, in points."""

    question: str
    task: str
    metric: str
    intervention: str
    compared: int
    better: int
    worse: int
    equivalent: int
    undecided: int
    largest_gain: float


def counts(questions: Iterable[Question]) -> list[Count]:
    """How the distinct comparisons of each question and intervention ended, in the files' order."""
    found = []
    for question in questions:
        rows = question.acting()
        for intervention in dict.fromkeys(row["intervention"] for row in rows):
            mine = [row for row in rows if row["intervention"] == intervention]
            better, worse, same, undecided = (sum(row["verdict"] == verdict for row in mine) for verdict in VERDICTS)
            label = question.scoring.metrics[question.scoring.primary].label
            gain = max(number(row["effect_high"]) for row in mine)
            asked = question.kind, question.scoring.task, label, intervention, len(mine)
            found.append(Count(*asked, better, worse, same, undecided, gain))
    return found


def answer(questions: Sequence[Question]) -> list[str]:
    """The answer: a sentence that begins with Yes, No or Undecided, then one for each further thing that is known."""
    asked = [question for question in questions if question.kind == INTERVENTION and question.acting()]
    if not asked:
        return ["No table of this run compares interventions with none.", *_against_random(questions)]
    better = [(q, row) for q in asked for row in q.acting() if row["verdict"] == BETTER]
    total = sum(len(question.acting()) for question in asked)
    if better:
        said = "; ".join(f"{_place(q, row)} ({_points(row['effect'])} points)" for q, row in better)
        opening = (
            f"Yes: {len(better)} of {total} interventions make{'s' * (len(better) == 1)} the model better: {said}."
        )
    else:
        made = f"none of {total} interventions makes the model better"
        if total == 1:
            made = "the intervention makes the model no better"
        excluded = [question.margin is not None and _gain(question)[0] < question.margin for question in asked]
        opening = f"No: {made}, and {_excluded(asked)}." if all(excluded) else f"Undecided: {made}, but {_left(asked)}."
    worse = sum(row["verdict"] == WORSE for q in asked for row in q.acting())
    same = sum(row["verdict"] == EQUIVALENT for q in asked for row in q.acting())
    rest = [f"{worse} of {total} make it worse" if worse != 1 else f"1 of {total} makes it worse"]
    if any(question.margin is not None for question in asked):
        rest.append(f"{same} {'is' if same == 1 else 'are'} equivalent to none")
    gains = [f"A{_left(asked)[1:]}."] if better else []  # the opening says them else
    return [opening, "; ".join(rest) + ".", *gains, *_against_random(questions)]


def _gain(question: Question) -> tuple[float, Mapping[str, str]]:
    """The largest gain that is not excluded, in points, and whose it is."""
    row = max(question.acting(), key=lambda row: number(row["effect_high"]))
    return number(row["effect_high"]), row


def _excluded(asked: Iterable[Question]) -> str:
    said = [f"{question.margin:g} points in {_metric(question)}" for question in asked]
    return f"a gain of {' or of '.join(said)} is excluded for each"


def _left(asked: Iterable[Question]) -> str:
    said = [f"up to {_gain(q)[0]:.1f} points in {_metric(q)} ({_place(q, _gain(q)[1])})" for q in asked]
    return f"a gain of {' and of '.join(said)} is not excluded"


def _metric(question: Question) -> str:
    return f"{question.scoring.task} {question.scoring.metrics[question.scoring.primary].label}"


def _place(question: Question, row: Mapping[str, str]) -> str:
    return f"{row['intervention']} of {row['method_key']}, {row['model']}, {question.scoring.task} in {row['language']}"


def _points(text: str) -> str:
    return f"{number(text):+.1f}".replace("-", "−")


def _against_random(questions: Iterable[Question]) -> list[str]:
    asked = [question for question in questions if question.kind == RANDOM and question.acting()]
    if not asked:
        return ["No table of this run compares them with random neurons."]
    rows = [(question, row) for question in asked for row in question.acting()]
    beyond = [(q, row) for q, row in rows if row["verdict"] in (BETTER, WORSE)]
    draws = sorted({len(row["against"].split(", ")) for _, row in rows})
    against = f"the same on random neurons ({' to '.join(map(str, dict.fromkeys([draws[0], draws[-1]])))} draws)"
    if not beyond:
        wide = max(max(abs(number(row["effect_low"])), abs(number(row["effect_high"]))) for _, row in rows)
        return [
            f"{_none_of(len(rows))} from {against}; differences of up to {math.ceil(10 * wide) / 10:.1f} points "
            "are not excluded."
        ]
    said = "; ".join(f"{_place(q, row)} ({_points(row['effect'])} points)" for q, row in beyond)
    return [f"{len(beyond)} of {len(rows)} differ{'s' * (len(beyond) == 1)} from {against}: {said}."]


def _none_of(total: int) -> str:
    return "The one that was compared does not differ" if total == 1 else f"None of {total} differs"
