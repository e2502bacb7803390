"""Task data: which languages, and what each split is made of."""

from __future__ import annotations

from typing import Any

from langneurons.config.load import Config
from langneurons.experiment.paths import paths_of
from langneurons.tasks.base import task_of


def tasks_from(config: Config, source: str) -> list[str]:
    """Keys of the tasks whose ``source`` this is."""
    return [key for key, section in config.tasks.items() if section.source == source]


def task_languages(config: Config, task: str) -> list[str]:
    """The languages that a task has data in: source and targets, sorted."""
    section = config.tasks[task]
    return sorted({section.source_language, *section.languages})


def task_kind(config: Config, task: str) -> str:
    """The registry's entry that a task is of."""
    return config.tasks[task].kind


def task_entries(config: Config, task: str) -> list[tuple[str, str]]:
    """(package, entry) of a task."""
    return [("tasks", config.tasks[task].kind)]


def demo_examples(config: Config, task: str, split: str) -> int:
    """How many examples the miniature world's split has."""
    section: Any = config.tasks[task]  # of the entry's own type
    return getattr(section.demo, split)


def hub_source(config: Config, task: str, language: str, split: str) -> dict[str, Any]:
    """The Hub's file that a split of a task comes from."""
    section = config.tasks[task]
    return task_of(section).hub(section, language, split)._asdict()


def known_facts(config: Config, task: str, language: str, split: str) -> dict[str, dict[str, str]]:
    """Name -> language and split of the task's other data that a split is compared with."""
    section = config.tasks[task]
    known = task_of(section).known(section, language, split)
    return {name: {"language": of, "split": part} for name, (of, part) in known.items()}


def known_files(config: Config, task: str, language: str, split: str) -> dict[str, str]:
    """The files of ``known_facts``."""
    facts = known_facts(config, task, language, split)
    return {name: paths_of(config).task(task, **said) for name, said in facts.items()}


def import_settings(config: Config, task: str, split: str) -> dict[str, Any]:
    """What a split depends on beside the file that it is read from."""
    section = config.tasks[task]
    return task_of(section).settings(section, "import", split)


def training_settings(config: Config, task: str) -> dict[str, Any]:
    """What a task's fine-tuning depends on beside the data."""
    section = config.tasks[task]
    return task_of(section).settings(section, "finetune")


def evaluation_settings(config: Config, task: str) -> dict[str, Any]:
    """What a task's evaluation depends on beside the data and ``limit``."""
    section = config.tasks[task]
    return task_of(section).settings(section, "evaluate")


def limit(config: Config, task: str) -> int | None:
    """Test examples that are evaluated; None for all."""
    return config.tasks[task].limit
