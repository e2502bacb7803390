"""What a task's predictions hold: the score of each example by metric, and which examples stand or fall together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Metric:
    """A number of a condition: 100 times the mean of a column of its predictions.

    ``column`` holds the score of each example, 0 to 1, and ``binary`` says that it is always one of the two;
    ``label`` is what captions and the report call the metric.
    """

    column: str
    label: str
    binary: bool = True


@dataclass(frozen=True)
class Scoring:
    """How a task is scored.

    ``metrics``: by name, in the order of the metric files; ``clusters``: the column of the predictions whose equal
    values mark examples of one text, None where examples are independent; ``columns``: the suffix of a table's column
    -> the metric in it, the primary one first; ``title``: what captions call the task and the printed metrics.
    """

    metrics: Mapping[str, Metric]
    clusters: str | None
    columns: Mapping[str, str]
    task: str
    title: str

    @property
    def primary(self) -> str:
        """The metric that verdicts are on: the first of ``columns``."""
        return next(iter(self.columns.values()))

    def printed(self, binary: bool) -> list[str]:
        """Labels of the printed metrics that are, or are not, binary."""
        return [m.label for m in self.printed_metrics() if m.binary == binary]

    def printed_metrics(self) -> list[Metric]:
        """The metrics of a table, in its order."""
        return [self.metrics[name] for name in self.columns.values()]

    def draws(self) -> bool:
        """Whether the intervals of the printed metrics are drawn by a bootstrap: Wilson's need independent 0 and 1."""
        return self.clusters is not None or bool(self.printed(binary=False))

    def plain(self) -> dict[str, Any]:
        """As plain values of JSON, for a rule's ``params``."""
        return asdict(self)

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Scoring:
        """What ``plain`` gave."""
        return cls(**{**plain, "metrics": {name: Metric(**values) for name, values in plain["metrics"].items()}})
