"""The configuration as a whole."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PrivateAttr

from langneurons.sections.base import DirectoryPath, Language, ModelKey, Section, TableKey, Title
from langneurons.sections.corpus import Activations, Corpus, Perplexity, Statistics
from langneurons.sections.methods import Method
from langneurons.sections.models import Model
from langneurons.sections.tables import Figures, Significance, Table
from langneurons.sections.tasks import Evaluation, Finetuning, Interventions, Task


class Run(Section):
    models: list[str] = Field(min_length=1, description="Keys of models to run.")
    tables: list[str] = Field(description="Keys of tables that a run without a target renders.")
    compare_with_paper: bool = Field(
        False, description="Also set each of the paper's tables beside the paper's own numbers ({table}_vs_paper)."
    )


class Config(Section):
    """The whole configuration."""

    extends: str = Field(
        "config/config.yaml",
        description="The file whose keys an overlay changes, from the repository's root: config/config.yaml, the "
        "paper's experiment, or config/base.yaml, which has nothing to run. A key of overlays alone.",
    )
    results: DirectoryPath = Field("results", description="Where results are written.")
    resources: DirectoryPath = Field("resources", description="Where models, corpora and task data are kept.")
    data: DirectoryPath = Field(
        "data", description="Directory of the user's own files: {data} in the patterns of source files."
    )
    seed: Annotated[int, Field(ge=0)] = Field(42, description="Seed of everything random.")
    extensions: list[DirectoryPath] = Field(
        [], description="Python files with methods, tasks, interventions or tables of your own: docs/extending.md."
    )
    run: Run = Field(description="What is run.")
    models: dict[ModelKey, Model] = Field({}, description="Models that can be run, by key.")
    corpus: Corpus = Field(description="The text.")
    activations: Activations = Field(default_factory=Activations, description="Counting activations.")
    statistics: Statistics = Field(default_factory=Statistics, description="Statistics of each neuron, by language.")
    language_sets: dict[Title, Annotated[list[Language], Field(min_length=2)]] = Field(
        {}, description="Sets of languages, by key."
    )
    methods: dict[ModelKey, Method] = Field({}, description="Ways to identify neurons, by key.")
    method_groups: dict[Title, dict[Language, ModelKey]] = Field(
        {}, description="Which method serves which target language, by the name that tables print."
    )
    tasks: dict[ModelKey, Task] = Field({}, description="Tasks, by key.")
    finetuning: dict[ModelKey, Finetuning] = Field({}, description="Fine-tuning on each task, by the task's key.")
    interventions: Interventions = Field(default_factory=Interventions, description="Test-time interventions.")
    evaluation: Evaluation = Field(default_factory=Evaluation, description="Evaluation.")
    perplexity: Perplexity = Field(default_factory=Perplexity, description="Perplexity change.")
    significance: Significance = Field(default_factory=Significance, description="Intervals and comparisons in tables.")
    tables: dict[TableKey, Table] = Field({}, description="Tables, by file name.")
    figures: Figures = Field(default_factory=Figures, description="Figures.")

    _left_out: dict[tuple[str, ...], list[str]] = PrivateAttr(default_factory=dict)

    @property
    def left_out(self) -> dict[tuple[str, ...], list[str]]:
        """Entries that other sections contradict and that the run does not need, with their faults."""
        return self._left_out
