"""Where models come from, and their shapes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from langneurons.sections.base import (
    Commit,
    DirectoryPath,
    Language,
    Positive,
    RepositoryName,
    Section,
    Title,
    commit_check,
)

Targets = Annotated[list[Annotated[str, Field(pattern=r"^\w+$")]], Field(min_length=1)] | None
TARGETS = Field(
    None,
    description="Linear modules of attention that LoRA adapts; null for the architecture's own "
    "(Llama: [q_proj, k_proj, v_proj, o_proj], phi3: [qkv_proj, o_proj]).",
)


def each_once(targets: list[str] | None) -> list[str] | None:
    """A validator: names without duplicates."""
    if targets and (duplicates := sorted({name for name in targets if targets.count(name) > 1})):
        raise ValueError(f"names {', '.join(duplicates)} twice; write it once")
    return targets


class HubModel(Section):
    source: Literal["hub"]
    title: Title = Field(description="Name printed in tables and figures.")
    repository: RepositoryName = Field(description="Repository on the Hugging Face Hub.")
    revision: Commit = Field(description="Commit of the repository: 40 hexadecimal digits.")
    parameters: Annotated[float, Field(gt=0)] = Field(
        description="Number of parameters (8.0e9): sizes a job's memory and time, never its output."
    )
    architecture: Annotated[str, Field(pattern=r"^\w+$")] | None = Field(
        None,
        description="model_type of its config.json, as llama: a new version of this library that knows more "
        "architectures then reruns nothing of this model; null: it reruns all of it.",
    )
    quantization: Literal["none", "nf4"] = Field("nf4", description="4-bit weights (bitsandbytes nf4) or none.")
    dtype: Literal["float32", "bfloat16"] = Field("bfloat16", description="Data type of computation.")
    attention_targets: Targets = TARGETS

    _commit = field_validator("revision")(commit_check(""))
    _targets = field_validator("attention_targets")(each_once)


class FilesModel(Section):
    source: Literal["files"]
    title: Title = Field(description="Name printed in tables and figures.")
    path: DirectoryPath = Field(description="Directory of a snapshot: config.json, tokenizer.json, *.safetensors.")
    parameters: Annotated[float, Field(gt=0)] | None = Field(
        None, description="Number of parameters, to size jobs; null for half the bytes of the snapshot's files."
    )
    quantization: Literal["none", "nf4"] = Field("none", description="4-bit weights (bitsandbytes nf4) or none.")
    dtype: Literal["float32", "bfloat16"] = Field("float32", description="Data type of computation.")
    attention_targets: Targets = TARGETS

    _targets = field_validator("attention_targets")(each_once)


class DemoModel(Section):
    source: Literal["demo"]
    title: Title = Field(description="Name printed in tables and figures.")
    architecture: Literal["llama", "mistral"] = Field(description="Architecture of the tiny model.")
    quantization: Literal["none", "nf4"] = Field("none", description="4-bit weights (bitsandbytes nf4) or none.")
    dtype: Literal["float32", "bfloat16"] = Field("float32", description="Data type of computation.")
    attention_targets: Targets = TARGETS
    layers: Positive = Field(4, description="Number of layers.")
    hidden: Positive = Field(128, description="Width of the residual stream; a multiple of 64.")
    neurons: Positive = Field(512, description="Neurons per layer (d_ff); a multiple of 64.")
    heads: Positive = Field(4, description="Attention heads.")
    key_value_heads: Positive = Field(2, description="Key and value heads; divides the heads.")
    head_dim: Positive = Field(32, description="Width of a head; need not be hidden / heads.")
    vocabulary: Annotated[int, Field(ge=300)] = Field(4096, description="Size of the tokenizer's vocabulary.")
    steps: Positive = Field(900, description="Steps of pretraining.")
    batch: Positive = Field(8, description="Blocks per step.")
    block: Positive = Field(128, description="Tokens per block of pretraining.")
    learning_rate: Annotated[float, Field(gt=0)] = Field(3e-3, description="Peak learning rate of pretraining.")
    shares: dict[Language, Annotated[float, Field(gt=0, lt=1)]] = Field(
        {}, description="Share of some languages in pretraining; the others divide the rest equally."
    )

    _targets = field_validator("attention_targets")(each_once)

    @model_validator(mode="after")
    def _shapes(self) -> DemoModel:
        if self.heads % self.key_value_heads:
            raise ValueError(f"key_value_heads ({self.key_value_heads}) must divide heads ({self.heads})")
        if sum(self.shares.values()) >= 1:
            raise ValueError(f"shares add up to {sum(self.shares.values()):g}; leave something for the other languages")
        if self.head_dim % 2:
            raise ValueError(
                f"head_dim ({self.head_dim}) must be even: positions turn pairs; write {self.head_dim + 1}"
            )
        for key in ("hidden", "neurons"):
            if getattr(self, key) % 64:
                raise ValueError(f"{key} must be a multiple of 64, for instance {-(-getattr(self, key) // 64) * 64}")
        return self


Model = Annotated[HubModel | FilesModel | DemoModel, Field(discriminator="source")]
