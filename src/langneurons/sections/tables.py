"""The tables and figures, and what their numbers must bear."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from langneurons.sections.base import Language, Positive, Section

Models = Annotated[list[str], Field(min_length=1)] | None
Languages = Annotated[list[Language], Field(min_length=1)] | None


class Significance(Section):
    level: Annotated[float, Field(ge=0.5, lt=1)] = Field(
        0.95, description="Confidence level of intervals; 1 - level is the largest p-value that counts as a difference."
    )
    resamples: Annotated[int, Field(ge=100)] = Field(10_000, description="Draws of a bootstrap.")


class StatisticsTable(Section):
    kind: Literal["statistics"]
    models: Models = Field(None, description="Models; null for all of run.models.")
    languages: list[Language] = Field(min_length=1, description="Languages, a row each.")
    columns: list[str] = Field(min_length=1, description="Columns: mean, std, positive, p90 and the like.")


class ConditionTable(Section):
    kind: Literal["interventions", "finetuning"] = Field(
        description="interventions: base model, a row a language; finetuning: a row a fine-tuned neuron set."
    )
    task: Literal["xnli", "xquad"] = Field(description="Key of tasks.")
    models: Models = Field(None, description="Models; null for all of run.models.")
    comparisons: list[str] = Field(min_length=1, description="Keys of comparisons.")
    languages: Languages = Field(None, description="Target languages; null for all of the task's.")
    interventions: list[str] = Field(min_length=1, description="Columns: none, mean, zero, p90 and the like.")
    neurons: list[Literal["source", "target", "source+target"]] = Field(
        ["source", "target", "source+target"],
        min_length=1,
        description="Whose neurons are fine-tuned, for kind finetuning.",
    )


class ControlTable(Section):
    kind: Literal["random_controls"]
    task: Literal["xnli", "xquad"] = Field(description="Key of tasks.")
    models: Models = Field(None, description="Models; null for all of run.models.")
    comparisons: list[str] = Field(
        min_length=1, description="Keys of comparisons; the methods of kind random like them are their controls."
    )
    languages: Languages = Field(None, description="Target languages; null for all of the task's.")
    interventions: list[str] = Field(min_length=1, description="Interventions: mean, zero, p90 and the like.")


class MethodTable(Section):
    kind: Literal["split_half", "relevance_spread", "perplexity_change"] = Field(
        description="split_half: neurons found again on the other half of the shards; relevance_spread: "
        "Act Prob 90p's relevance against sampling noise; perplexity_change: also in bits per byte."
    )
    models: Models = Field(None, description="Models; null for all of run.models.")
    methods: list[str] = Field(min_length=1, description="Keys of methods.")


Table = Annotated[ConditionTable | StatisticsTable | ControlTable | MethodTable, Field(discriminator="kind")]


class Figures(Section):
    width: Positive = Field(420, description="Width in pixels.")
    height: Positive = Field(280, description="Height in pixels.")
    methods: list[str] = Field(min_length=1, description="Keys of methods to draw.")
