"""How neurons are identified."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from langneurons.sections.base import Language, Percentile, Section, Share


class LapeMethod(Section):
    kind: Literal["lape"]
    set: str = Field(description="Key of language_sets.")
    top_fraction: Share = Field(0.01, description="Share of the model's neurons selected.")
    activity_quantile: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.95, description="Quantile of all activation probabilities that a language must exceed."
    )


class ActivationProbabilityMethod(Section):
    kind: Literal["activation_probability"]
    languages: list[Language] = Field(min_length=1, description="Languages to find neurons of.")
    percentile: Percentile = Field(90, description="Percentile of the threshold.")
    threshold: Literal["batch_mean", "layer", "model"] = Field(
        "batch_mean", description="batch_mean: paper, by neuron; layer or model: over all neurons of either."
    )
    top_fraction: Share = Field(0.00125, description="Share of the model's neurons selected for each language.")


class RandomMethod(Section):
    kind: Literal["random"]
    like: str = Field(description="Key of comparisons: as many neurons a layer as its masks, language by language.")
    seed: Annotated[int, Field(ge=0)] = Field(0, description="Seed of the draw.")


Method = Annotated[LapeMethod | ActivationProbabilityMethod | RandomMethod, Field(discriminator="kind")]
