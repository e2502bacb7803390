"""What a model has above its last layer, by what a task asks: a classifier's scores, or the next token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple


class _Names(NamedTuple):
    """What transformers, PEFT and the Hub call a model with the head."""

    model: str
    task_type: str
    pipeline: str


_NAMES = {
    "classification": _Names("AutoModelForSequenceClassification", "SEQ_CLS", "text-classification"),
    "causal": _Names("AutoModelForCausalLM", "CAUSAL_LM", "text-generation"),
}


@dataclass(frozen=True)
class Head:
    """A head; ``labels``: how many labels a classifier scores."""

    kind: Literal["classification", "causal"]
    labels: int | None = None

    @property
    def model_class(self) -> str:
        """The class of transformers that loads a model with this head."""
        return _NAMES[self.kind].model

    @property
    def task_type(self) -> str:
        """PEFT's name of the kind of task."""
        return _NAMES[self.kind].task_type

    @property
    def pipeline(self) -> str:
        """The Hub's name of what such a model is for."""
        return _NAMES[self.kind].pipeline

    def loading(self) -> dict[str, Any]:
        """Arguments of ``models.loading.load_base``."""
        return {"task": self.kind} | ({"num_labels": self.labels} if self.labels else {})


CAUSAL = Head("causal")
