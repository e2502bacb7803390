"""What tables share in the configuration, the figures, and what the numbers must bear."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from langneurons.sections.base import Language, Positive, Section
from langneurons.sections.registered import Registered

Models = Annotated[list[str], Field(min_length=1)] | None
Languages = Annotated[list[Language], Field(min_length=1)] | None


class Significance(Section):
    level: Annotated[float, Field(ge=0.5, lt=1)] = Field(
        0.95, description="Confidence level of intervals; 1 - level is the largest p-value that counts as a difference."
    )
    resamples: Annotated[int, Field(ge=10_000)] = Field(
        10_000, description="Draws of a bootstrap, and of a test that is not exact (more where more is corrected for)."
    )


class TableSection(Section):
    """Keys of every table. An entry narrows ``kind`` to its name."""

    kind: str
    models: Models = Field(None, description="Models; null for all of run.models.")

    def texts(self) -> list[str]:
        """Languages of the corpus that the table reads beside those of its methods."""
        return []


Table = Annotated[TableSection, Registered("tables")]


class TaskTable(TableSection):
    """Keys of a table of a task's conditions."""

    task: str = Field(description="Key of tasks.")
    method_groups: list[str] = Field(min_length=1, description="Keys of method_groups.")
    languages: Languages = Field(None, description="Target languages; null for all of the task's.")
    interventions: list[str] = Field(min_length=1, description="Columns: none, mean, zero, p90 and the like.")


class TransferTable(TaskTable):
    """Keys of a table of a task's conditions that are all of one fine-tuning without neurons."""

    finetuning: Literal["base", "pretrained"] = Field(
        "base",
        description="base: LoRA on attention with the task's training data; pretrained: the model as it is, for tasks "
        "that it answers in words.",
    )


class MethodTable(TableSection):
    """Keys of a table that has a part for each model and method."""

    methods: list[str] = Field(min_length=1, description="Keys of methods.")


class Figures(Section):
    width: Positive = Field(420, description="Width in pixels.")
    height: Positive = Field(280, description="Height in pixels.")
    methods: list[str] | None = Field(
        None,
        description="Keys of methods to draw; null for those that the run's tables name, but for controls; [] for no "
        "figure of neurons and perplexity.",
    )
