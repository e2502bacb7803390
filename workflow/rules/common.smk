# Settings, paths and the functions that rules share. Imports nothing heavy: every job parses this again.

import inspect
import os
import re

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

from langneurons.artifacts.locks import hold_directory
from langneurons.config.files import check_directories, check_files
from langneurons.config.load import ConfigError, load_config
from langneurons.config.needed import left_out_text
from langneurons.experiment import (
    evaluations,
    facts,
    finetunings,
    identification,
    models,
    own_files,
    published,
    stages,
    task_data,
    text,
)
from langneurons.experiment.paths import paths_of
from langneurons.models.checks import needs_of, needs_text, unusable
from langneurons.models.sources import snapshot_sources
from langneurons.runner.code_version import content, entry_version, version
from langneurons.runner.groups import Groups
from langneurons.runner.resources import memory, runtime
from langneurons.sections.languages import LANGUAGE

try:
    if workflow.is_main_process:
        check_files(workflow.configfiles)
    settings = load_config(config)
    check_directories(settings)
except ConfigError as error:
    raise WorkflowError(str(error))

paths = paths_of(settings)
SHARDS = text.shards(settings)
groups = Groups(workflow)
REPORTED = set()  # missing files of the user's: each is reported once


onstart:
    if settings.left_out and workflow.is_main_process:
        logger.info(left_out_text(settings))
    for key in ("results", "resources"):
        folder = os.path.abspath(getattr(settings, key))
        while not os.path.exists(folder):
            folder = os.path.dirname(folder)
        if not os.access(folder, os.W_OK):
            raise WorkflowError(
                f"{key}: nothing can be written in {folder}. Make it writable (chmod -R u+w {folder}), "
                f"or name another directory: --config {key}=DIRECTORY"
            )
    if workflow.is_main_process and not workflow.touch:
        if refused := unusable_snapshots(list(workflow.dag.needrun_jobs())):
            raise WorkflowError("\n".join(["The models cannot be used as configured:", *refused]))
        downloads = [job for job in workflow.dag.needrun_jobs() if job.rule.name.startswith("download_")]
        if refusal := obstacle_at_the_hub(downloads):
            raise WorkflowError(refusal)
    if workflow.is_main_process:  # last: a run that is refused makes no directory
        hold_directories(settings.results, settings.resources)


def hold_directories(*directories):
    """Refuse a second run, from wherever it is called, that would write into the same directories."""
    for directory in directories:
        try:
            hold_directory(directory)
        except ValueError as error:
            raise WorkflowError(str(error))


def one_of(words):
    """A wildcard's pattern: exactly one of these words (or nothing at all)."""
    return "|".join(re.escape(word) for word in words) or "(?!)"


METHODS = one_of(settings.methods)
TRAINED = rf"base|{LANGUAGE}(\+{LANGUAGE})*@({METHODS})"


wildcard_constraints:
    model=one_of(settings.models),
    method=METHODS,
    mask=one_of(identification.all_masks(settings)),
    language=LANGUAGE,
    statistic=r"mean|std|positive|p\d+(\.\d+)?",
    shard=r"\d{4}",
    task=one_of(settings.tasks),
    split="train|test",
    finetuning=f"pretrained|{TRAINED}",
    intervention=rf"none|[^/@]+@({METHODS})",
    table=one_of(published.all_tables(settings)),


def model_files(wildcards):
    """The files of the user's snapshot; its directory where that is missing."""
    asked = f"models.{wildcards.model}.path", settings.models[wildcards.model].path
    return snapshot_sources(present(asked, paths.model(wildcards.model)))


def model_needs(wildcards):
    """A resources function: what jobs will ask of the model, for a check that changes no output."""
    return needs_text(settings, wildcards.model, finetunings.finetunings(settings))


def unusable_snapshots(jobs):
    """Why the snapshots that these jobs import or load cannot be used, a line each; what is still to be made is not."""
    made = {job.wildcards.model for job in jobs if job.rule.name in ("pretrain_demo_model", "download_model")}
    imported = {job.wildcards.model for job in jobs if job.rule.name == "import_model"}
    loaded = {job.wildcards.model for job in jobs if "model" in job.wildcards.keys()} - imported - made
    folders = {model: settings.models[model].path for model in imported}
    folders |= {model: paths.model(model) for model in loaded if os.path.isdir(paths.model(model))}
    return unusable(
        {
            model: (folder, needs_of(settings, model, finetunings.finetunings(settings)))
            for model, folder in folders.items()
        }
    )


def of(function):
    """An input or params function: a pure function of the configuration and of the wildcards that it names."""
    _, *names = inspect.signature(function).parameters
    return lambda wildcards: function(settings, **{name: getattr(wildcards, name) for name in names})


def model_setting(key):
    """A params function: one key of the model's section."""
    return lambda wildcards: getattr(settings.models[wildcards.model], key)


def batch_setting(key):
    """A key of activations that batch percentiles alone read; without any, the same value whatever it says."""
    return getattr(settings.activations, key) if settings.activations.batch_percentiles else 1


def memory_of(rule):
    """A resources function: host memory in MB, by the model's size and the attempt."""
    return lambda wildcards, attempt: memory(settings, rule, wildcards.model, attempt)


def time_of(rule):
    """A resources function: a time limit in minutes, by the model's size, the rule's work and the attempt.

    Where jobs share a Slurm job, it grows no further than that its ``max_hours`` are kept.
    """

    def minutes(wildcards, attempt):
        asked = dict(wildcards)
        most = groups.most(rule, asked) if attempt > 1 else None
        return runtime(settings, rule, asked, attempt, most)

    return minutes


def version_of(script, facts=None):
    """A params function: the version of the code that a script's results come from.

    ``facts``: which lines of tables of facts it uses (``of`` a function of experiment.facts); None: all of them.
    """
    path, used = f"{workflow.basedir}/workflow/scripts/{script}.py", facts and of(facts)
    return lambda wildcards: version(path, used(wildcards) if used else ())


def entry_versions(function, facts=None, job=None):
    """A params function: the versions of the registries' entries, (package, name), that a job uses.

    ``job``: which of a package's jobs, where its entries serve several.
    """
    entries, used = of(function), facts and of(facts)
    return lambda wildcards: [
        entry_version(*entry, used(wildcards) if used else (), job) for entry in entries(wildcards)
    ]


def present(asked, made):
    """The path of a file of the user's; where it and what is ``made`` of it are missing, all missing ones are reported."""
    if asked not in REPORTED and not os.path.exists(asked[1]) and not os.path.exists(made):
        gone = dict.fromkeys([asked, *own_files.missing(own_files.own_files(settings))])
        REPORTED.update(gone)
        logger.error(own_files.missing_text(gone))
    return asked[1]  # Snakemake itself refuses a missing input


def corpus_file(wildcards):
    """The user's file of a language."""
    return present(own_files.corpus_file(settings, wildcards.language), paths.corpus(**wildcards))


def task_file(wildcards):
    """The user's file of a task, language and split."""
    return present(own_files.task_file(settings, **wildcards), paths.task(**wildcards))


def task_languages(source):
    """A wildcard's pattern: the languages of the tasks from this source."""
    tasks = task_data.tasks_from(settings, source)
    return one_of(sorted({language for task in tasks for language in task_data.task_languages(settings, task)}))


def obstacle_at_the_hub(jobs):
    """Why these jobs of download rules cannot all be done, or None."""
    if not jobs:
        return None
    from langneurons.hub.access import obstacle
    from langneurons.hub.downloads import Repository

    kinds = ["model" if job.rule.name == "download_model" else "dataset" for job in jobs]
    sources = [job.params.get("hub", job.params) for job in jobs]
    return obstacle([Repository(kind, s["repository"], s["revision"]) for kind, s in zip(kinds, sources)])


def drawings(*kinds):
    """The files of figures that one job draws, since it costs more to start a renderer than to draw one."""
    files = {}
    for kind in kinds:
        files |= {f"{kind}_{ending}": paths.figure(kind, ending=ending) for ending in ("pdf", "html")}
        files[f"{kind}_svg"] = report(
            paths.figure(kind),
            caption=f"../report/{kind}.rst",
            category="Figures",
            subcategory=kind,
            labels={"model": "{model}", "method": "{method}"},
        )
    return files
