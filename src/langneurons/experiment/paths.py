"""Every path of the workflow, built in one place. Arguments may be Snakemake wildcards in braces."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import Protocol

from langneurons.experiment.condition import Condition


class Roots(Protocol):
    """The two directories of a configuration."""

    results: str
    resources: str


def condition_of(path: str) -> Condition:
    """The condition whose metrics or predictions ``path`` is; ValueError for a path of another form."""
    parts = PurePath(path).with_suffix("").parts
    if len(parts) < 6 or parts[-5] not in ("metrics", "predictions"):
        raise ValueError(f"{path}: is no file of a condition's metrics or predictions")
    return Condition.parse("/".join([parts[-6], *parts[-4:]]))


def task_facts(path: str) -> dict[str, str]:
    """Language and split of the task data that lie at ``path``."""
    language, split, *_ = PurePath(path).name.split(".")
    return {"language": language, "split": split}


def checkpoints_of(adapter: str) -> str:
    """Where the training of an adapter keeps what a killed job resumes from: outside every rule's output.

    From the adapter's path, since jobs in a group may ask for numbers alone, not for a path each.
    """
    head, tail = adapter.rsplit("/adapters/", 1)
    return f"{head}/checkpoints/{tail}"


@dataclass(frozen=True)
class Paths:
    """Paths below the two roots of the configuration: ``results`` and ``resources``."""

    results: str
    resources: str

    def stage_of(self, path: str) -> str:
        """The directory below a model's that a file lies in: ``neurons``, ``statistics``, ...; "" for other files."""
        inside = PurePath(path).is_relative_to(self.results)
        parts = PurePath(path).relative_to(self.results).parts if inside else ()
        return parts[1] if len(parts) > 2 else ""

    def corpus(self, language: str = "{language}", shard: str = "{shard}") -> str:
        return f"{self.resources}/corpus/{language}/{shard}.parquet"

    def corpus_quality(self, language: str = "{language}", shard: str = "{shard}") -> str:
        return f"{self.resources}/corpus/{language}/{shard}.quality.tsv"

    def corpus_manifest(self, language: str = "{language}", shard: str = "{shard}") -> str:
        return f"{self.resources}/corpus/{language}/{shard}.manifest.tsv"

    def model(self, model: str = "{model}") -> str:
        return f"{self.resources}/models/{model}"

    def model_manifest(self, model: str = "{model}") -> str:
        return f"{self.resources}/models/{model}.manifest.tsv"

    def quantized(self, model: str = "{model}") -> str:
        return f"{self.results}/{model}/quantized"

    def task(self, task: str = "{task}", language: str = "{language}", split: str = "{split}") -> str:
        return f"{self.resources}/tasks/{task}/{language}.{split}.parquet"

    def task_manifest(self, task: str = "{task}", language: str = "{language}", split: str = "{split}") -> str:
        return f"{self.resources}/tasks/{task}/{language}.{split}.manifest.tsv"

    def tokens(self, model: str = "{model}", language: str = "{language}", shard: str = "{shard}") -> str:
        return f"{self.results}/{model}/tokens/{language}/{shard}.parquet"

    def shard_activations(self, model: str = "{model}", language: str = "{language}", shard: str = "{shard}") -> str:
        return f"{self.results}/{model}/activations/{language}/{shard}.parquet"

    def activations(self, model: str = "{model}", language: str = "{language}") -> str:
        return f"{self.results}/{model}/activations/{language}.parquet"

    def statistic(self, model: str = "{model}", language: str = "{language}", statistic: str = "{statistic}") -> str:
        return f"{self.results}/{model}/statistics/{language}/{statistic}.parquet"

    def neurons(self, model: str = "{model}", mask: str = "{mask}") -> str:
        """Neurons of a mask: ``method``, or ``method/language`` (``methods.base.masks``)."""
        return f"{self.results}/{model}/neurons/{mask}.parquet"

    def half_neurons(self, model: str = "{model}", mask: str = "{mask}", half: str = "{half}") -> str:
        """Neurons identified on half of the shards: ``even`` or ``odd``."""
        return f"{self.results}/{model}/neurons/{mask}.{half}.parquet"

    def adapter(self, model: str = "{model}", task: str = "{task}", finetuning: str = "{finetuning}") -> str:
        return f"{self.results}/{model}/adapters/{task}/{finetuning}"

    def curve(self, model: str = "{model}", task: str = "{task}", finetuning: str = "{finetuning}") -> str:
        return f"{self.results}/{model}/curves/{task}/{finetuning}.tsv"

    def _condition(self, kind: str, c: Condition | None, ending: str) -> str:
        if c is None:
            c = Condition("{model}", "{task}", "{finetuning}", "{language}", "{intervention}")
        model, rest = str(c).split("/", 1)
        return f"{self.results}/{model}/{kind}/{rest}.{ending}"

    def metrics(self, condition: Condition | None = None) -> str:
        return self._condition("metrics", condition, "tsv")

    def predictions(self, condition: Condition | None = None) -> str:
        return self._condition("predictions", condition, "parquet")

    def perplexity(self, model: str = "{model}", method: str = "{method}") -> str:
        return f"{self.results}/{model}/perplexity/{method}.tsv"

    def table(self, name: str = "{table}", ending: str = "tsv") -> str:
        return f"{self.results}/tables/{name}.{ending}"

    def comparisons(self, question: str = "{question}") -> str:
        return f"{self.results}/comparisons/{question}.tsv"

    def beside_paper(self, name: str = "{table}", ending: str = "tsv") -> str:
        return self.table(f"{name}_vs_paper", ending)

    def figure(self, kind: str, model: str = "{model}", method: str = "{method}", ending: str = "svg") -> str:
        return f"{self.results}/figures/{kind}.{model}.{method}.{ending}"

    def report(self, name: str) -> str:
        return f"{self.results}/report/{name}"

    def curve_figure(self, model: str = "{model}", task: str = "{task}", ending: str = "svg") -> str:
        return f"{self.results}/figures/finetuning_curves.{model}.{task}.{ending}"

    def log(self, *parts: str) -> str:
        return "/".join([self.results, "logs", *parts]) + ".log"

    def benchmark(self, *parts: str) -> str:
        return "/".join([self.results, "benchmarks", *parts]) + ".tsv"


def paths_of(config: Roots) -> Paths:
    """The paths of an experiment."""
    return Paths(config.results, config.resources)
