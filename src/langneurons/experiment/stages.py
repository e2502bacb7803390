"""The files of each stage of a run: what its target rule asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from langneurons.config.load import Config
from langneurons.experiment.conditions import table_conditions
from langneurons.experiment.evaluations import evaluation_input
from langneurons.experiment.finetunings import finetuning_input, trained
from langneurons.experiment.own_files import needed_languages
from langneurons.experiment.paths import paths_of
from langneurons.experiment.published import drawn_pairs, table_input
from langneurons.experiment.text import shards
from langneurons.methods.base import mask_files


def corpus(config: Config) -> list[str]:
    """The text that the run reads, by language and shard."""
    wanted = needed_languages(config)
    languages = [language for language in config.corpus.languages if language in wanted]
    return [paths_of(config).corpus(language, shard) for language in languages for shard in shards(config)]


def statistics(config: Config) -> list[str]:
    """Statistics of every model and language that an intervention or a table reads."""
    return _read(config, "statistics")


def neurons(config: Config) -> list[str]:
    """Every mask that a fine-tuning, an intervention, a table or a figure reads."""
    drawn = [file for model, method in drawn_pairs(config) for file in mask_files(config, model, method)]
    return list(dict.fromkeys([*_read(config, "neurons"), *drawn]))


def adapters(config: Config) -> list[str]:
    """The adapters of every fine-tuning."""
    paths = paths_of(config)
    return [paths.adapter(*key, finetuning) for key, names in trained(config).items() for finetuning in names]


def metrics(config: Config) -> list[str]:
    """The metrics of every condition."""
    conditions = {c for name in config.run.tables for c in table_conditions(config, name)}
    return [paths_of(config).metrics(c) for c in sorted(conditions)]


def perplexity(config: Config) -> list[str]:
    """The perplexities of every method that a table or a figure shows."""
    drawn = [paths_of(config).perplexity(model, method) for model, method in drawn_pairs(config)]
    return list(dict.fromkeys([*_read(config, "perplexity"), *drawn]))


def _read(config: Config, stage: str) -> list[str]:
    """Files of a stage that evaluations, fine-tunings and tables read, each once, in order."""
    return list(dict.fromkeys(path for path in _inputs(config) if paths_of(config).stage_of(path) == stage))


def _inputs(config: Config) -> Iterator[str]:
    for name in config.run.tables:
        for files in table_input(config, name).values():
            yield from files
        for c in table_conditions(config, name):
            yield from _flat(evaluation_input(config, **vars(c)))
    for (model, task), names in trained(config).items():
        for finetuning in names:
            yield from _flat(finetuning_input(config, model, task, finetuning))


def _flat(files: Mapping[str, str | list[str]]) -> Iterator[str]:
    for read in files.values():
        yield from [read] if isinstance(read, str) else read
