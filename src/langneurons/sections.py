"""The sections of the configuration: every key, its meaning, its range. Imports nothing heavy."""

from __future__ import annotations

import re
from string import Formatter
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

KEY = r"^[a-z0-9][a-z0-9.-]*$"
Percentile = Annotated[float, Field(gt=0, lt=100)]
Share = Annotated[float, Field(gt=0, le=1)]
Beta = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[int, Field(gt=0)]
Language = Annotated[str, Field(pattern=r"^[a-z]{2}$")]
ModelKey = Annotated[str, Field(pattern=KEY)]
TableKey = Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]


class Section(BaseModel):
    """A part of the configuration: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", strict=False)


def _fields_of(*needed: str, optional: tuple[str, ...] = ("data",)):
    """A validator: a path's pattern holds the ``needed`` fields in braces, and no others but ``optional``."""

    def check(pattern: str) -> str:
        try:
            found = {field for _, field, _, _ in Formatter().parse(pattern) if field is not None}
        except ValueError as error:
            raise ValueError(f"is no pattern ({error}); write fields as {{language}}") from None
        missing, unknown = [f for f in needed if f not in found], sorted(found - {*needed, *optional})
        if missing or unknown:
            known = ", ".join(f"{{{f}}}" for f in (*needed, *optional))
            raise ValueError(
                f"must hold {', '.join(f'{{{f}}}' for f in missing)}"
                if missing
                else f"has unknown fields; known: {known}"
            )
        return pattern

    return check


COMMIT = r"^[0-9a-f]{40}$"


def _commit(prefix: str):
    """A validator: a revision is a commit; if not, say how to get the one to write. ``prefix``: of the name."""

    def check(revision: str, info: ValidationInfo) -> str:
        if not re.fullmatch(COMMIT, revision):
            name = prefix + info.data.get("repository", "OWNER/NAME")
            raise ValueError(
                "should be a commit of 40 hexadecimal digits, not a branch: a branch moves; "
                f"write the one that this prints: python -m langneurons.hub commit {name}"
            )
        return revision

    return check


Commit = Annotated[str, Field(json_schema_extra={"pattern": COMMIT})]


class HubModel(Section):
    source: Literal["hub"]
    title: str = Field(description="Name printed in tables and figures.")
    repository: str = Field(description="Repository on the Hugging Face Hub.")
    revision: Commit = Field(description="Commit of the repository: 40 hexadecimal digits.")
    parameters: Annotated[float, Field(gt=0)] = Field(
        description="Number of parameters (8.0e9): sizes a job's memory and time, never its output."
    )
    quantization: Literal["none", "nf4"] = Field("nf4", description="4-bit weights (bitsandbytes nf4) or none.")
    dtype: Literal["float32", "bfloat16"] = Field("bfloat16", description="Data type of computation.")

    _commit = field_validator("revision")(_commit(""))


class FilesModel(Section):
    source: Literal["files"]
    title: str = Field(description="Name printed in tables and figures.")
    path: str = Field(description="Directory of a snapshot: config.json, tokenizer.json, *.safetensors.")
    parameters: Annotated[float, Field(gt=0)] | None = Field(
        None, description="Number of parameters, to size jobs; null for half the bytes of the snapshot's files."
    )
    quantization: Literal["none", "nf4"] = Field("none", description="4-bit weights (bitsandbytes nf4) or none.")
    dtype: Literal["float32", "bfloat16"] = Field("float32", description="Data type of computation.")


class DemoModel(Section):
    source: Literal["demo"]
    title: str = Field(description="Name printed in tables and figures.")
    architecture: Literal["llama", "mistral"] = Field(description="Architecture of the tiny model.")
    quantization: Literal["none", "nf4"] = Field("none", description="4-bit weights (bitsandbytes nf4) or none.")
    dtype: Literal["float32", "bfloat16"] = Field("float32", description="Data type of computation.")
    layers: Positive = Field(4, description="Number of layers.")
    hidden: Positive = Field(128, description="Width of the residual stream; a multiple of 64.")
    neurons: Positive = Field(512, description="Neurons a layer (d_ff); a multiple of 64.")
    heads: Positive = Field(4, description="Attention heads.")
    key_value_heads: Positive = Field(2, description="Key and value heads; divides the heads.")
    head_dim: Positive = Field(32, description="Width of a head; need not be hidden / heads.")
    vocabulary: Annotated[int, Field(ge=300)] = Field(4096, description="Size of the tokenizer's vocabulary.")
    steps: Positive = Field(900, description="Steps of pretraining.")
    batch: Positive = Field(8, description="Blocks a step.")
    block: Positive = Field(128, description="Tokens a block of pretraining.")
    learning_rate: Annotated[float, Field(gt=0)] = Field(3e-3, description="Peak learning rate of pretraining.")
    shares: dict[Language, Annotated[float, Field(gt=0, lt=1)]] = Field(
        {}, description="Share of some languages in pretraining; the others divide the rest equally."
    )

    @model_validator(mode="after")
    def _shapes(self) -> DemoModel:
        if self.heads % self.key_value_heads:
            raise ValueError(f"key_value_heads ({self.key_value_heads}) must divide heads ({self.heads})")
        if sum(self.shares.values()) >= 1:
            raise ValueError(f"shares add up to {sum(self.shares.values()):g}; leave something for the other languages")
        for key in ("hidden", "neurons"):
            if getattr(self, key) % 64:
                raise ValueError(f"{key} must be a multiple of 64, for instance {-(-getattr(self, key) // 64) * 64}")
        return self


Model = Annotated[HubModel | FilesModel | DemoModel, Field(discriminator="source")]


class HubCorpus(Section):
    repository: str = Field("wikimedia/wikipedia", description="Data set repository on the Hub.")
    revision: Commit = Field("b04c8d1ceb2f5cd4588862100d08de323dccfbaa", description="Commit of the repository.")
    snapshot: str = Field("20231101", pattern=r"^\d{8}$", description="Date of the Wikipedia dump.")
    characters: Positive | None = Field(
        80_000_000,
        description="Characters of text that each shard keeps of its file, at most; null: all. No fewer than 8 for "
        "each token of the budget.",
    )

    _commit = field_validator("revision")(_commit("datasets/"))


class FilesCorpus(Section):
    pattern: str = Field(
        "{data}/text/{language}.jsonl",
        description="Path of a language's text: .jsonl (id, text), .parquet (id, text) or .txt (a document a line).",
    )

    _fields = field_validator("pattern")(_fields_of("language"))


class DemoCorpus(Section):
    documents: Positive = Field(600, description="Documents a language and shard of the miniature world.")


class Corpus(Section):
    source: Literal["hub", "files", "demo"] = Field(description="Where text comes from.")
    languages: list[Language] = Field(min_length=2, description="Languages, by ISO 639-1.")
    shards: Positive = Field(description="Shards a language: the unit of packing and of activation jobs.")
    tokens: Positive = Field(description="Budget of tokens a language for the statistics, over all its shards.")
    block: Annotated[int, Field(ge=8)] = Field(512, description="Tokens a block.")
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
        8192, description="Tokens a forward pass, null for what fits the free memory; changes speed, never counts."
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
    percentiles: list[Percentile] = Field(min_length=1, description="Percentiles of each neuron to tabulate.")
    estimate: Literal["exact", "batch_mean"] = Field(
        "exact",
        description="exact: over all tokens (paper's text); batch_mean: mean of batches' percentiles of z (its code).",
    )


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
    seed: int = Field(0, description="Seed of the draw.")


Method = Annotated[LapeMethod | ActivationProbabilityMethod | RandomMethod, Field(discriminator="kind")]


class XnliFiles(Section):
    pattern: str = Field("{data}/xnli/{language}.{split}.tsv", description="Path by {language} and {split}.")
    _fields = field_validator("pattern")(_fields_of("language", "split"))


class SquadFiles(Section):
    pattern: str = Field("{data}/xquad/xquad.{language}.json", description="Path by {language}.")
    _fields = field_validator("pattern")(_fields_of("language"))
    squad: str = Field("{data}/squad/train-v1.1.json", description="SQuAD v1.1 training file, for train: squad.")
    _squad = field_validator("squad")(_fields_of())


class HubTask(Section):
    repository: str = Field(description="Data set repository on the Hub.")
    revision: Commit = Field(description="Commit of the repository.")
    rows: dict[Literal["train", "test", "validation"], Positive | None] = Field(
        {}, description="Rows that the file of a split must have at that commit; without one, any number."
    )

    _commit = field_validator("revision")(_commit("datasets/"))


class DemoTask(Section):
    train: Positive = Field(2000, description="Training examples.")
    test: Positive = Field(300, description="Test examples a language.")


class Xnli(Section):
    source: Literal["hub", "files", "demo"] = Field(description="Where the task's data comes from.")
    source_language: Language = Field("en", description="Language of the training data.")
    languages: list[Language] = Field(description="Target languages.")
    train_fraction: Share = Field(0.25, description="First share of the training set that is used.")
    max_tokens: Positive = Field(256, description="Longer examples are dropped, and counted.")
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


class Xquad(Section):
    source: Literal["hub", "files", "demo"] = Field(description="Where the task's data comes from.")
    source_language: Language = Field("en", description="Language of the training data.")
    languages: list[Language] = Field(description="Target languages.")
    train: Literal["xquad", "squad"] = Field(
        "xquad", description="xquad: 80 % of its English questions train, 20 % test (paper); squad: SQuAD v1.1 trains."
    )
    train_fraction: Annotated[float, Field(gt=0, lt=1)] = Field(0.8, description="Training share for train: xquad.")
    metric: Literal["model_tokens", "mlqa"] = Field(
        "model_tokens", description="The table's metric: over the model's tokens (paper), or MLQA's. Both are stored."
    )
    prompt: str = Field(
        "Answer the question from the context.\nContext: {context}\nQuestion: {question}\nAnswer:",
        description="Instruction prompt with {context} and {question}.",
    )
    max_tokens: Positive = Field(512, description="Longer examples are dropped, and counted.")
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

    @model_validator(mode="after")
    def _prompt(self) -> Xquad:
        missing = [f for f in ("{context}", "{question}") if f not in self.prompt]
        if missing:
            raise ValueError(f"prompt must hold {' and '.join(missing)}")
        return self


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
        if len(set(self.targets)) != len(self.targets):
            raise ValueError(f"targets ({', '.join(self.targets)}) name a module twice; write it once")
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


class Perplexity(Section):
    tokens: Positive = Field(200_000, description="Held-out tokens a language, at most.")
    batch_tokens: Positive = Field(8192, description="Tokens a forward pass; changes speed, never perplexities.")


class Significance(Section):
    level: Annotated[float, Field(ge=0.5, lt=1)] = Field(
        0.95, description="Confidence level of intervals; 1 - level is the largest p-value that counts as a difference."
    )
    resamples: Annotated[int, Field(ge=100)] = Field(10_000, description="Draws of a bootstrap.")


class StatisticsTable(Section):
    kind: Literal["statistics"]
    models: list[str] | None = Field(None, description="Models; null for all of run.models.")
    languages: list[Language] = Field(min_length=1, description="Languages, a row each.")
    columns: list[str] = Field(min_length=1, description="Columns: mean, std, positive, p90 and the like.")


class ConditionTable(Section):
    kind: Literal["interventions", "finetuning"] = Field(
        description="interventions: base model, a row a language; finetuning: a row a fine-tuned neuron set."
    )
    task: Literal["xnli", "xquad"] = Field(description="Key of tasks.")
    models: list[str] | None = Field(None, description="Models; null for all of run.models.")
    comparisons: list[str] = Field(min_length=1, description="Keys of comparisons.")
    languages: list[Language] | None = Field(None, description="Target languages; null for all of the task's.")
    interventions: list[str] = Field(min_length=1, description="Columns: none, mean, zero, p90 and the like.")
    neurons: list[Literal["source", "target", "source+target"]] = Field(
        ["source", "target", "source+target"], description="Whose neurons are fine-tuned, for kind finetuning."
    )


class ControlTable(Section):
    kind: Literal["random_controls"]
    task: Literal["xnli", "xquad"] = Field(description="Key of tasks.")
    models: list[str] | None = Field(None, description="Models; null for all of run.models.")
    comparisons: list[str] = Field(
        min_length=1, description="Keys of comparisons; the methods of kind random like them are their controls."
    )
    languages: list[Language] | None = Field(None, description="Target languages; null for all of the task's.")
    interventions: list[str] = Field(min_length=1, description="Interventions: mean, zero, p90 and the like.")


class MethodTable(Section):
    kind: Literal["split_half", "relevance_spread", "perplexity_change"] = Field(
        description="split_half: neurons found again on the other half of the shards; relevance_spread: "
        "Act Prob 90p's relevance against sampling noise; perplexity_change: also in bits per byte."
    )
    models: list[str] | None = Field(None, description="Models; null for all of run.models.")
    methods: list[str] = Field(min_length=1, description="Keys of methods.")


Table = Annotated[ConditionTable | StatisticsTable | ControlTable | MethodTable, Field(discriminator="kind")]


class Figures(Section):
    width: Positive = Field(420, description="Width in pixels.")
    height: Positive = Field(280, description="Height in pixels.")
    methods: list[str] = Field(min_length=1, description="Keys of methods to draw.")
