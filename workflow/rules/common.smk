# Settings, paths and the functions that rules share. Imports nothing heavy: every job parses this again.

import re

from snakemake.exceptions import WorkflowError

from langneurons.conditions import (
    method_languages,
    random_references,
    split_finetuning,
    split_intervention,
    statistics_languages,
    table_conditions,
)
from langneurons.config import ConfigError, load_config
from langneurons.paths import Paths

try:
    settings = load_config(config)
except ConfigError as error:
    raise WorkflowError(str(error))

paths = Paths(settings.results, settings.resources)
SHARDS = [f"{i:04d}" for i in range(settings.corpus.shards)]


def one_of(words):
    """A wildcard's pattern: exactly one of these words (or nothing at all)."""
    return "|".join(re.escape(word) for word in words) or "(?!)"


METHODS = one_of(settings.methods)


wildcard_constraints:
    model=one_of(settings.models),
    method=METHODS,
    language="[a-z]{2}",
    shard=r"\d{4}",
    task="xnli|xquad",
    split="train|test",
    finetuning=rf"base|[a-z]{{2}}(\+[a-z]{{2}})*@({METHODS})",
    intervention=rf"none|(mean|zero|p[0-9.]+)@({METHODS})",
    table=one_of(settings.tables),


def models_from(source):
    return [name for name, model in settings.models.items() if model.source == source]


def model_setting(key):
    """A params function: one key of the model's section."""
    return lambda wildcards: getattr(settings.models[wildcards.model], key)


def task_setting(key):
    """A params function: one key of the task's section, or None where the task has no such key."""
    return lambda wildcards: getattr(getattr(settings.tasks, wildcards.task), key, None)


def per_shard(tokens):
    """Share of a budget of tokens that one shard gives."""
    return -(-tokens // settings.corpus.shards)


def gpu_memory(wildcards, attempt):
    """Host memory of a job that holds a model, in MB; more with each attempt."""
    return (4_000 if settings.models[wildcards.model].source == "demo" else 48_000) * attempt


def table_files():
    return [paths.table(name, ending) for name in settings.run.tables for ending in ("tsv", "md", "tex")]


def figure_files():
    files = []
    for model in settings.run.models:
        for method in settings.figures.methods:
            kinds = ["neuron_counts", "neuron_overlap", "neuron_layers", "perplexity_change"]
            files += [paths.figure(kind, model, method, ending) for kind in kinds for ending in ("svg", "html")]
    return files
