"""Task data: which languages, and what each split is made of."""

from __future__ import annotations

from typing import Any

from langneurons.config.load import Config
from langneurons.experiment.paths import paths_of


def tasks_from(config: Config, source: str) -> list[str]:
    """Keys of the tasks whose ``source`` this is."""
    return [key for key in type(config.tasks).model_fields if getattr(config.tasks, key).source == source]


def task_languages(config: Config, task: str) -> list[str]:
    """The languages that a task has data in: source and targets, sorted."""
    spec = getattr(config.tasks, task)
    return sorted({spec.source_language, *spec.languages})


def demo_examples(config: Config, task: str, split: str) -> int:
    """How many examples the miniature world's split has."""
    return getattr(getattr(config.tasks, task).demo, split)


def hub_source(config: Config, task: str, split: str) -> dict[str, Any]:
    """The Hub's data set that a split of a task comes from."""
    spec = getattr(config.tasks, task)
    squad = task == "xquad" and split == "train" and spec.train == "squad"
    return {"dataset": "squad" if squad else task} | (spec.squad_hub if squad else spec.hub).model_dump()


def known_questions(config: Config, task: str, language: str, split: str) -> dict[str, str]:
    """The task files that say which questions a test split of XQuAD may hold."""
    if task != "xquad" or split != "test":
        return {}
    spec, paths = config.tasks.xquad, paths_of(config)
    files = {"train": paths.task("xquad", spec.source_language, "train")}
    if spec.train == "xquad" and language != spec.source_language:
        files["source_test"] = paths.task("xquad", spec.source_language, "test")
    return files


def part(config: Config, task: str, split: str) -> str:
    """Which examples of its file a split takes: a part of them only where XQuAD trains on its own questions."""
    return split if task == "xquad" and config.tasks.xquad.train == "xquad" else "all"
