"""The configuration as a whole: reading it, and the checks between its sections."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from langneurons.config.faults import Unknown, explain, key_faults, listed, outside, unknown
from langneurons.config.needed import Entry, all_entries, entry_at, needed_entries, remove
from langneurons.config.table_checks import languages_of, table_checks
from langneurons.corpus.scripts import scripts_of
from langneurons.methods.base import method_of
from langneurons.registry import PACKAGES, entries, file_of, load_extensions
from langneurons.sections.configuration import Config
from langneurons.sections.languages import primary
from langneurons.tasks.base import task_of

TAKEN = ("tables", "figures", "report", "logs", "benchmarks")  # directories of results beside those of models
REMOVABLE = ("models", "methods", "language_sets", "method_groups", "tasks", "finetuning", "tables")


class ConfigError(ValueError):
    """All faults of a configuration, one line each: the key's path, what is wrong, what to write."""


def load_config(raw: dict) -> Config:
    """Validate a parsed configuration.

    ConfigError lists every fault at once: keys that are no texts, or, where there are none, those of single values, or
    those between keys. An entry that other keys contradict is a fault if the run needs it; else it is left out.
    """
    if faults := list(key_faults(raw)):
        raise ConfigError(listed(faults))
    try:
        load_extensions(_texts(raw.get("extensions")) if isinstance(raw, dict) else [])
    except ValueError as error:
        raise ConfigError(listed([str(error)])) from None
    try:
        config = Config.model_validate(_without_removed(raw) if isinstance(raw, dict) else raw)
    except ValidationError as error:
        schema = config_schema()
        raise ConfigError(listed([explain(fault, schema) for fault in error.errors()])) from None
    gone = _removed(raw)
    while faulty := _contradicted(config, gone):
        config.left_out.update(faulty)
        gone |= {entry[-1] for entry in faulty}
        for entry in faulty:
            remove(config, entry)
    return config


def _contradicted(config: Config, gone: set[str]) -> dict[Entry, list[str]]:
    """The entries that others contradict, with their faults.

    ConfigError lists those that the run needs, and every name of which there is nothing, unless it is of an entry that
    is ``gone``: a name that is written wrongly is a fault wherever it stands.
    """
    needed, entries = needed_entries(config), all_entries(config)
    faults = {f"{place}: {what}": None for place, what in _taken_keys(config)}
    faulty: dict[Entry, list[str]] = {}
    for place, what in _cross_checks(config):
        entry = entry_at(place, entries)
        wrong_name = isinstance(what, Unknown) and what.word not in gone
        if entry is None or entry in needed or wrong_name:
            faults[f"{place}: {what}"] = None
        else:
            faulty.setdefault(entry, []).append(f"{place}: {what}")
    if faults:
        raise ConfigError(listed(list(faults)))
    return faulty


def _texts(value: Any) -> list[str]:
    """The texts of a list; of anything else none: validation refuses it."""
    return [entry for entry in value if isinstance(entry, str)] if isinstance(value, list) else []


def _without_removed(raw: dict) -> dict:
    """Leave out entries that an overlay sets to null: overlays merge dictionaries, so this is how one is removed."""
    kept = dict(raw)
    for section in REMOVABLE:
        if isinstance(kept.get(section), dict):
            kept[section] = {key: value for key, value in kept[section].items() if value is not None}
    if isinstance(kept.get("method_groups"), dict):
        kept["method_groups"] = {
            name: {k: v for k, v in members.items() if v is not None} if isinstance(members, dict) else members
            for name, members in kept["method_groups"].items()
        }
    return kept


def _removed(raw: dict) -> set[str]:
    """Keys of the entries that an overlay sets to null."""
    return {key for section in REMOVABLE for key, value in raw.get(section, {}).items() if value is None}


def _cross_checks(config: Config) -> Iterator[tuple[str, str]]:
    corpus = config.corpus.languages
    for i, key in enumerate(config.run.models):
        if key not in config.models:
            yield f"run.models[{i}]", unknown(key, list(config.models), "model")
    titles: dict[str, str] = {}
    for key in config.run.models:
        if key in config.models and (same := titles.setdefault(config.models[key].title, key)) != key:
            yield f"models.{key}.title", f"'{config.models[key].title}' is the title of models.{same}; write another"
    for i, key in enumerate(config.run.tables):
        if key not in config.tables:
            yield f"run.tables[{i}]", unknown(key, list(config.tables), "table")
    yield from _corpus_checks(config)
    for key, languages in config.language_sets.items():
        yield from outside(languages, corpus, f"language_sets.{key}")
    for key, spec in config.methods.items():
        yield from method_of(spec).checks(key, spec, config)
    for name, members in config.method_groups.items():
        for language, method in members.items():
            where = f"method_groups.{name}.{language}"
            if method not in config.methods:
                yield where, unknown(method, list(config.methods), "method")
            elif (known := languages_of(config, method)) and language not in known:
                yield where, f"method '{method}' gives no neurons of '{language}', only of: {', '.join(known)}"
    yield from _statistics_checks(config)
    for key, section in config.tasks.items():
        yield from ((f"tasks.{key}.{place}", what) for place, what in task_of(section).checks(section))
    for key in config.finetuning:
        if key not in config.tasks:
            yield f"finetuning.{key}", unknown(key, list(config.tasks), "task")
    yield from table_checks(config)
    for i, method in enumerate(config.figures.methods or []):
        if method not in config.methods:
            yield f"figures.methods[{i}]", unknown(method, list(config.methods), "method")


def _corpus_checks(config: Config) -> Iterator[tuple[str, str]]:
    """The budget of text, and what its filter must know of its languages."""
    if config.corpus.tokens < config.corpus.block * config.corpus.shards:
        least = config.corpus.block * config.corpus.shards
        yield "corpus.tokens", f"is {config.corpus.tokens}; one block per shard needs at least {least}"
    kept, least = config.corpus.hub.characters, -(-8 * config.corpus.tokens // config.corpus.shards)
    if config.corpus.source == "hub" and kept is not None and kept < least:
        yield "corpus.hub.characters", f"is {kept}; the budget of tokens needs at least {least}, 8 characters per token"
    if (least_share := config.corpus.min_own_script) and config.corpus.source != "demo":
        for i, language in enumerate(config.corpus.languages):
            if not scripts_of(language):
                yield (
                    f"corpus.languages[{i}]",
                    f"the script of '{language}' is not known, which corpus.min_own_script: {least_share:g} asks for; "
                    f"name it in the code, as {primary(language)}-Latn, or write min_own_script: 0",
                )


def _statistics_checks(config: Config) -> Iterator[tuple[str, str]]:
    """What is recorded, against what is counted and overwritten."""
    collected = set(config.activations.batch_percentiles)
    if config.statistics.estimate == "batch_mean":
        for p in config.statistics.percentiles:
            if p not in collected:
                yield "statistics.estimate", f"batch_mean needs {p:g} in activations.batch_percentiles"
        if config.statistics.site != "gate":
            yield "statistics.site", "batches' percentiles are of z; write gate, or statistics.estimate: exact"
    if config.statistics.site == "act" and config.interventions.site == "gate":
        yield (
            "statistics.site",
            "is act, but interventions.site: gate overwrites z, of which a's statistics say nothing; write gate, "
            "or interventions.site: act",
        )
    batch, block = config.activations.reference_tokens, config.corpus.block
    if collected and batch % block:
        near = max(round(batch / block), 1) * block
        yield "activations.reference_tokens", f"is {batch}, no multiple of corpus.block ({block}); write {near}"


def _taken_keys(config: Config) -> Iterator[tuple[str, str]]:
    """Keys whose files would lie where the workflow writes others."""
    for key in config.models:
        if key in TAKEN:
            yield f"models.{key}", f"results has a directory {key} of its own; write another key for the model"
    for key in config.methods:
        stem, _, half = key.rpartition(".")
        if key == "none":
            yield f"methods.{key}", "none is the evaluation without intervention; write another key for the method"
        elif half in ("even", "odd") and stem in config.methods:
            yield f"methods.{key}", f"is the name of a half of methods.{stem}; write another key for the method"
    for key in config.tables:
        stem = key.removesuffix("_vs_paper")
        if stem != key and stem in config.tables:
            yield f"tables.{key}", f"is the name of tables.{stem} beside the paper's numbers; write another key"


def config_schema() -> dict:
    """JSON schema of the configuration, for editors and for config/README.md; not to be changed."""
    return _schema_with(tuple(file_of(package, name) for package in PACKAGES for name in entries(package)))


@functools.cache
def _schema_with(files: tuple[Path, ...]) -> dict:
    """The schema with the sections of these entries."""
    return Config.model_json_schema()
