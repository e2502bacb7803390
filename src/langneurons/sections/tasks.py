"""What all tasks share, fine-tuning on them, and how a condition is evaluated."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from langneurons.sections.base import (
    Beta,
    Commit,
    Language,
    Positive,
    RepositoryName,
    Section,
    Title,
    commit_check,
)
from langneurons.sections.registered import Registered

Split = Literal["train", "test", "validation"]


class HubTask(Section):
    repository: RepositoryName = Field(description="Data set repository on the Hub.")
    revision: Commit = Field(description="Commit of the repository.")
    rows: dict[Split, Positive | None] = Field(
        {}, description="Rows that the file of a split must have at that commit; without one, any number."
    )

    _commit = field_validator("revision")(commit_check("datasets/"))


class DemoTask(Section):
    train: Positive = Field(2000, description="Training examples.")
    test: Positive = Field(300, description="Test examples per language.")


class TaskSection(Section):
    """Keys of every task. An entry narrows ``kind`` to its name, and ``source`` to where its data may come from."""

    kind: str
    source: str
    title: Title | None = Field(None, description="Name in captions and the report; null for the task's own.")
    source_language: Language = Field("en", description="Language of the training data.")
    languages: list[Language] = Field(min_length=1, description="Target languages.")
    margin: Annotated[float, Field(gt=0, le=100)] | None = Field(
        None,
        description="Largest effect, in points, that counts as none: where the whole interval of a difference lies "
        "within it, conditions are equivalent; null: none are.",
    )
    limit: Positive | None = Field(
        None, description="Test examples that are evaluated: the first of each file; null for all."
    )


Task = Annotated[TaskSection, Registered("tasks")]


class Finetuning(Section):
    rank: Positive = Field(description="Rank r of LoRA.")
    alpha: Annotated[float, Field(gt=0)] = Field(description="LoRA's alpha; the update is scaled by alpha / r.")
    learning_rate: Annotated[float, Field(gt=0)] = Field(description="Peak learning rate.")
    batch: Positive = Field(description="Examples per step.")
    epochs: Positive = Field(description="Epochs of the schedule.")
    checkpoint_epoch: Positive | None = Field(None, description="Epoch evaluated; null for the last.")
    betas: tuple[Beta, Beta] = Field((0.95, 0.999), description="AdamW's betas.")
    weight_decay: Annotated[float, Field(ge=0)] = Field(0.1, description="AdamW's weight decay.")
    max_grad_norm: Annotated[float, Field(gt=0)] = Field(10.0, description="Gradient norm clipped at.")
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)] = Field(0.01, description="Share of steps that warm up.")
    targets: list[Literal["gate_proj", "up_proj", "down_proj"]] = Field(
        ["gate_proj"],
        min_length=1,
        description="Modules whose neurons train: rows of gate_proj (paper) and up_proj, columns of down_proj.",
    )
    group_by_length: bool = Field(False, description="Batches of examples of like length: less padding.")
    validation: Annotated[int, Field(ge=0)] = Field(
        500, description="Test examples of the source language whose loss the curve shows; chooses nothing. 0: none."
    )
    gradient_checkpointing: bool = Field(False, description="Less memory, more time; the same result.")

    @model_validator(mode="after")
    def _checkpoint(self) -> Finetuning:
        if self.checkpoint_epoch and self.checkpoint_epoch > self.epochs:
            raise ValueError(f"checkpoint_epoch ({self.checkpoint_epoch}) must be at most epochs ({self.epochs})")
        return self


class Interventions(Section):
    site: Literal["act", "gate"] = Field(
        "act", description="act: a = act(z) is overwritten (paper); gate: z, what the paper records."
    )


class Evaluation(Section):
    batch_tokens: Positive = Field(4096, description="Tokens per forward pass; changes speed, never predictions.")
