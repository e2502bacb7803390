"""The text, and what is measured on it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from langneurons.sections.base import (
    Commit,
    Language,
    Percentile,
    Positive,
    RepositoryName,
    Section,
    commit_check,
    fields_of,
)


class HubCorpus(Section):
    repository: RepositoryName = Field("wikimedia/wikipedia", description="Data set repository on the Hub.")
    revision: Commit = Field("b04c8d1ceb2f5cd4588862100d08de323dccfbaa", description="Commit of the repository.")
    snapshot: str = Field("20231101", pattern=r"^\d{8}$", description="Date of the Wikipedia dump.")
    names: dict[Language, Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]] = Field(
        {}, description="Wikipedia's own name of a language where it is not the code: {zh-Hant: zh}."
    )
    characters: Positive | None = Field(
        80_000_000,
        description="Characters of text that each shard keeps of its file, at most; null: all. No fewer than 8 for "
        "each token of the budget.",
    )

    _commit = field_validator("revision")(commit_check("datasets/"))


class FilesCorpus(Section):
    pattern: str = Field(
        "{data}/text/{language}.jsonl",
        description="Path of a language's text: .jsonl (id, text), .parquet (id, text) or .txt (a line per document).",
    )

    _fields = field_validator("pattern")(fields_of("language"))


class DemoCorpus(Section):
    documents: Positive = Field(600, description="Documents per language and shard of the miniature world.")


class Corpus(Section):
    source: Literal["hub", "files", "demo"] = Field(description="Where text comes from.")
    languages: list[Language] = Field(min_length=2, description="Languages, by BCP 47: hi, ceb, zh-Hant.")
    shards: Annotated[int, Field(gt=0, le=10_000)] = Field(
        1, description="Shards per language: the unit of packing and of activation jobs."
    )
    tokens: Positive = Field(description="Budget of tokens per language for the statistics, over all its shards.")
    block: Annotated[int, Field(ge=8)] = Field(512, description="Tokens per block.")
    heldout_fraction: Annotated[float, Field(gt=0, lt=0.5)] = Field(
        0.01, description="Share of documents kept out of the statistics, for perplexity. Drawn by a hash of the text."
    )
    min_characters: Annotated[int, Field(ge=0)] = Field(
        0, description="Shorter documents are left out. Like the next key, for source hub or files."
    )
    min_own_script: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0,
        description="Documents with a smaller share of their letters in the language's own script are left out; "
        "0: none is. The share of each shard is recorded in any case.",
    )
    hub: HubCorpus = Field(default_factory=HubCorpus, description="Used when source is hub.")
    files: FilesCorpus = Field(default_factory=FilesCorpus, description="Used when source is files.")
    demo: DemoCorpus = Field(default_factory=DemoCorpus, description="Used when source is demo.")


class Activations(Section):
    batch_tokens: Positive | None = Field(
        8192, description="Tokens per forward pass, null for what fits the free memory; changes speed, never counts."
    )
    batch_percentiles: list[Percentile] = Field(
        [], description="Percentiles also averaged over batches, as the reference code does; [] for none."
    )
    reference_tokens: Positive = Field(2048, description="Tokens of such a batch: the reference's 4 x 512.")
    every: Positive = Field(1, description="Only every n-th such batch is sorted.")


class Statistics(Section):
    site: Literal["gate", "act"] = Field(
        "gate", description="gate: z, the pre-activation (paper); act: a = act(z), what the paper overwrites."
    )
    percentiles: list[Percentile] = Field(
        [5, 10, 25, 50, 75, 90, 95],
        min_length=1,
        description="Percentiles that interventions and tables may name.",
    )
    estimate: Literal["exact", "batch_mean"] = Field(
        "exact",
        description="exact: over all tokens (paper's text); batch_mean: mean of batches' percentiles of z (its code).",
    )


class Perplexity(Section):
    tokens: Positive = Field(200_000, description="Held-out tokens per language, at most.")
    batch_tokens: Positive = Field(8192, description="Tokens per forward pass; changes speed, never perplexities.")
