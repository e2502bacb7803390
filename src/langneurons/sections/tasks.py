"""The tasks, fine-tuning on them, and how a condition is evaluated."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from langneurons.sections.base import (
    Beta,
    Commit,
    Language,
    Positive,
    RepositoryName,
    Section,
    Share,
    commit_check,
    fields_of,
)


class XnliFiles(Section):
    pattern: str = Field(
        "{data}/xnli/{language}.{split}.tsv",
        description="Path by {language} and {split}: .tsv (with a header), .jsonl or .parquet.",
    )
    _fields = field_validator("pattern")(fields_of("language", "split"))


class SquadFiles(Section):
    pattern: str = Field("{data}/xquad/xquad.{language}.json", description="Path by {language}.")
    _fields = field_validator("pattern")(fields_of("language"))
    squad: str = Field("{data}/squad/train-v1.1.json", description="SQuAD v1.1 training file, for train: squad.")
    _squad = field_validator("squad")(fields_of())


class HubTask(Section):
    repository: RepositoryName = Field(description="Data set repository on the Hub.")
    revision: Commit = Field(description="Commit of the repository.")
    rows: dict[Literal["train", "test", "validation"], Positive | None] = Field(
        {}, description="Rows that the file of a split must have at that commit; without one, any number."
    )

    _commit = field_validator("revision")(commit_check("datasets/"))


class DemoTask(Section):
    train: Positive = Field(2000, description="Training examples.")
    test: Positive = Field(300, description="Test examples a language.")


class Xnli(Section):
    source: Literal["hub", "files", "demo"] = Field(description="Where the task's data comes from.")
    source_language: Language = Field("en", description="Language of the training data.")
    languages: list[Language] = Field(min_length=1, description="Target languages.")
    train_fraction: Share = Field(0.25, description="First share of the training set that is used.")
    separator: Literal["spaced_eos", "eos"] = Field(
        "spaced_eos",
        description="Between premise and hypothesis: the EOS token between spaces (paper), or the EOS token alone.",
    )
    max_tokens: Positive = Field(255, description="Longer examples are dropped, and counted (paper: 255).")
    hub: HubTask = Field(
        default_factory=lambda: HubTask(
            repository="facebook/xnli",
            revision="b8dd5d7af51114dbda02c0e3f6133f332186418e",
            rows={"train": 392_702, "test": 5_010},
        ),
        description="Used when source is hub.",
    )
    files: XnliFiles = Field(default_factory=XnliFiles, description="Used when source is files.")
    demo: DemoTask = Field(default_factory=DemoTask, description="Used when source is demo.")


# What looks like a field. Braces around anything with a quote or a space within, as JSON has, are text.
PROMPT_FIELD = re.compile(r"(?<!\{)\{\s*[^\s{}\"',]*\s*\}(?!\})")


class Xquad(Section):
    source: Literal["hub", "files", "demo"] = Field(description="Where the task's data comes from.")
    source_language: Language = Field("en", description="Language of the training data.")
    languages: list[Language] = Field(min_length=1, description="Target languages.")
    train: Literal["xquad", "squad"] = Field(
        "xquad",
        description="xquad: 80 % of the source language's questions train, the others test, in every language by id "
        "(paper); squad: SQuAD v1.1 trains.",
    )
    train_fraction: Annotated[float, Field(gt=0, lt=1)] = Field(0.8, description="Training share for train: xquad.")
    metric: Literal["model_tokens", "mlqa"] = Field(
        "model_tokens", description="The table's metric: over the model's tokens (paper), or MLQA's. Both are stored."
    )
    prompt: str = Field(
        "Answer the question from the context.\nContext: {context}\nQuestion: {question}\nAnswer:",
        description="Instruction prompt with {context} and {question}; special tokens in it are special.",
    )
    max_tokens: Positive = Field(510, description="Longer examples are dropped, and counted (paper: 510).")
    max_new_tokens: Positive = Field(64, description="Tokens generated at most.")
    hub: HubTask = Field(
        default_factory=lambda: HubTask(
            repository="google/xquad",
            revision="51adfef1c1287aab1d2d91b5bead9bcfb9c68583",
            rows={"validation": 1_190},
        ),
        description="Used when source is hub.",
    )
    squad_hub: HubTask = Field(
        default_factory=lambda: HubTask(
            repository="rajpurkar/squad",
            revision="7b6d24c440a36b6815f21b70d25016731768db1f",
            rows={"train": 87_599},
        ),
        description="Used when source is hub and train is squad.",
    )
    files: SquadFiles = Field(default_factory=SquadFiles, description="Used when source is files.")
    demo: DemoTask = Field(default_factory=DemoTask, description="Used when source is demo.")

    @field_validator("prompt")
    @classmethod
    def _prompt(cls, prompt: str) -> str:
        known = ("{context}", "{question}")
        if missing := [field for field in known if field not in prompt]:
            raise ValueError(f"must hold {' and '.join(missing)}")
        if unknown := [field[0] for field in PROMPT_FIELD.finditer(prompt) if field[0] not in known]:
            raise ValueError(f"has the unknown field {unknown[0]}; known: {', '.join(known)}")
        return prompt


class Tasks(Section):
    xnli: Xnli = Field(description="Natural language inference.")
    xquad: Xquad = Field(description="Question answering.")


class Finetuning(Section):
    rank: Positive = Field(description="Rank r of LoRA.")
    alpha: Annotated[float, Field(gt=0)] = Field(description="LoRA's alpha; the update is scaled by alpha / r.")
    learning_rate: Annotated[float, Field(gt=0)] = Field(description="Peak learning rate.")
    batch: Positive = Field(description="Examples a step.")
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


class FinetuningByTask(Section):
    xnli: Finetuning = Field(description="Fine-tuning on XNLI.")
    xquad: Finetuning = Field(description="Fine-tuning on XQuAD.")


class Interventions(Section):
    site: Literal["act", "gate"] = Field(
        "act", description="act: a = act(z) is overwritten (paper); gate: z, what the paper records."
    )


class Evaluation(Section):
    batch_tokens: Positive = Field(4096, description="Tokens a forward pass; changes speed, never predictions.")
