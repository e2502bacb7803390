"""What is compared with what, and as an answer to which question: known from the configuration alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from langneurons.experiment.condition import Condition

INTERVENTION, RANDOM = "intervention", "random"
AGAINST = {INTERVENTION: "no intervention", RANDOM: "random neurons"}
"""What an intervention is held against, by the kind of question; each is asked of a task by itself."""

BETTER, WORSE, EQUIVALENT, UNDECIDED = "better", "worse", "equivalent", "undecided"
VERDICTS = (BETTER, WORSE, EQUIVALENT, UNDECIDED)
NO_NEURON = "no neuron"
"""In the place of a verdict, where the mask has no neuron of the language: that is no intervention."""


@dataclass(frozen=True, order=True)
class Compared:
    """``condition`` against the mean of ``references``, on the same examples. A kind of ``AGAINST`` says why."""

    kind: str
    condition: Condition
    references: tuple[Condition, ...]

    @property
    def question(self) -> str:
        """``{task}.{kind}``: the file of the comparison, and the family that its p-value is corrected over."""
        return f"{self.condition.task}.{self.kind}"

    def plain(self) -> dict[str, Any]:
        """As plain values of JSON, for a rule's ``params``."""
        return asdict(self)

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Compared:
        """What ``plain`` gave."""
        references = tuple(Condition(**reference) for reference in plain["references"])
        return cls(plain["kind"], Condition(**plain["condition"]), references)
