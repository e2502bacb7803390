"""The user's own files that a run reads: where the configuration says they lie, and which are missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from langneurons.config.load import Config
from langneurons.config.needed import drawn_methods
from langneurons.experiment.condition import PRETRAINED, split_finetuning, split_intervention
from langneurons.experiment.conditions import table_conditions
from langneurons.experiment.identification import text_languages
from langneurons.tasks.base import task_of as entry_of

Own = tuple[str, str]
"""A key of the configuration and the path that it gives."""


def corpus_file(config: Config, language: str) -> Own:
    """The text of a language, for corpus.source: files."""
    return "corpus.files.pattern", config.corpus.files.pattern.format(data=config.data, language=language)


def task_file(config: Config, task: str, language: str, split: str) -> Own:
    """The data of a task, language and split, for its source: files."""
    section = config.tasks[task]
    key, pattern = entry_of(section).file(section, split)
    return f"tasks.{task}.{key}", pattern.format(data=config.data, language=language, split=split)


def own_files(config: Config) -> list[Own]:
    """Every file or directory of the user's that ``run`` needs, as the keys and their paths; each once, in order."""
    found: dict[Own, None] = {}
    for model in _models(config):
        snapshot = config.models[model]
        if snapshot.source == "files":
            found[f"models.{model}.path", snapshot.path] = None
    if config.corpus.source == "files":
        needed = needed_languages(config)
        found |= {corpus_file(config, language): None for language in config.corpus.languages if language in needed}
    for name in config.run.tables:
        for condition in table_conditions(config, name):
            spec = config.tasks[condition.task]
            if spec.source == "files":
                source = spec.source_language
                training = () if condition.finetuning == PRETRAINED else ((source, "train"), (source, "test"))
                for language, split in (*training, (condition.language, "test")):
                    found[task_file(config, condition.task, language, split)] = None
    return list(found)


def missing(files: Iterable[Own]) -> list[Own]:
    """Those of ``files`` that are not there."""
    return [(key, path) for key, path in files if not Path(path).exists()]


def missing_text(missing: Iterable[Own]) -> str:
    """What to say of missing files, a line each."""
    lines = [f"  {key}: no file {path}" for key, path in missing]
    head = "a file is missing" if len(lines) == 1 else f"{len(lines)} files are missing"
    return "\n".join(
        [f"Of the files that this configuration reads, {head}. Put each there, or correct its key:", *lines]
    )


def _models(config: Config) -> list[str]:
    tables = (config.tables[name].models or [] for name in config.run.tables)
    return list(dict.fromkeys([*config.run.models, *(model for models in tables for model in models)]))


def needed_languages(config: Config) -> set[str]:
    """Languages whose text a run needs: of its methods and statistics, and all where a demo model trains on them."""
    if any(config.models[model].source == "demo" for model in _models(config)):
        return set(config.corpus.languages)
    needed: set[str] = set()
    for method in dict.fromkeys([*drawn_methods(config), *_methods(config)]):
        needed |= text_languages(config, method)
    for name in config.run.tables:
        needed |= set(config.tables[name].texts())
    return needed


def _methods(config: Config) -> Iterator[str]:
    for name in config.run.tables:
        yield from getattr(config.tables[name], "methods", ())
        for condition in table_conditions(config, name):
            for method in (split_intervention(condition.intervention)[1], split_finetuning(condition.finetuning)[1]):
                if method:
                    yield method
