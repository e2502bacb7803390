# Settings, paths and the functions that rules share. Imports nothing heavy: every job parses this again.

import os
import re

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

from langneurons.experiment import own_files
from langneurons.experiment.condition import split_finetuning, split_intervention
from langneurons.experiment.conditions import method_languages, random_references, statistics_languages
from langneurons.config.load import ConfigError, load_config
from langneurons.config.files import check_directories, check_files
from langneurons.artifacts.locks import hold_directory
from langneurons.models.checks import needs_of, needs_text, unusable
from langneurons.models.sources import snapshot_sources
from langneurons.experiment.paths import Paths
from langneurons.runner.resources import memory, runtime
from langneurons.runner.code_version import content, version

try:
    if workflow.is_main_process:
        check_files(workflow.configfiles)
    settings = load_config(config)
    check_directories(settings)
except ConfigError as error:
    raise WorkflowError(str(error))

paths = Paths(settings.results, settings.resources)
SHARDS = [f"{i:04d}" for i in range(settings.corpus.shards)]
TOLD = set()  # missing files of the user's: each is told once


onstart:
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
        if told := obstacle_at_the_hub(downloads):
            raise WorkflowError(told)
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


def quantized_models():
    return [name for name, model in settings.models.items() if model.quantization != "none"]


def loadable(wildcards):
    """The directory that a job loads a model from: its 4-bit weights, made once, where it has some."""
    quantized = wildcards.model in quantized_models()
    return paths.quantized(wildcards.model) if quantized else paths.model(wildcards.model)


def model_files(wildcards):
    """The files of the user's snapshot; its directory where that is missing."""
    asked = f"models.{wildcards.model}.path", settings.models[wildcards.model].path
    return snapshot_sources(present(asked, paths.model(wildcards.model)))


def model_needs(wildcards):
    """A resources function: what jobs will ask of the model, for a check that changes no output."""
    return needs_text(settings, wildcards.model, finetunings())


def unusable_snapshots(jobs):
    """Why the snapshots that these jobs import or load cannot be used, a line each; what is still to be made is not."""
    made = {job.wildcards.model for job in jobs if job.rule.name in ("pretrain_demo_model", "download_model")}
    imported = {job.wildcards.model for job in jobs if job.rule.name == "import_model"}
    loaded = {job.wildcards.model for job in jobs if "model" in job.wildcards.keys()} - imported - made
    folders = {model: settings.models[model].path for model in imported}
    folders |= {model: paths.model(model) for model in loaded if os.path.isdir(paths.model(model))}
    return unusable({model: (folder, needs_of(settings, model, finetunings())) for model, folder in folders.items()})


def model_setting(key):
    """A params function: one key of the model's section."""
    return lambda wildcards: getattr(settings.models[wildcards.model], key)


def task_setting(key):
    """A params function: one key of the task's section, or None where the task has no such key."""
    return lambda wildcards: getattr(getattr(settings.tasks, wildcards.task), key, None)


def batch_setting(key):
    """A key of activations that batch percentiles alone read; without any, the same value whatever it says."""
    return getattr(settings.activations, key) if settings.activations.batch_percentiles else 1


def memory_of(rule):
    """A resources function: host memory in MB, by the model's size and the attempt."""
    return lambda wildcards, attempt: memory(settings, rule, wildcards.model, attempt)


def time_of(rule):
    """A resources function: a time limit in minutes, by the model's size, the rule's work and the attempt."""
    return lambda wildcards, attempt: runtime(settings, rule, dict(wildcards), attempt)


def version_of(script):
    """A params function: the version of the code that a script's results come from."""
    return lambda wildcards: version(f"{workflow.basedir}/workflow/scripts/{script}.py")


def present(asked, made):
    """The path of a file of the user's; where it and what is ``made`` of it are missing, all missing ones are told."""
    if asked not in TOLD and not os.path.exists(asked[1]) and not os.path.exists(made):
        gone = dict.fromkeys([asked, *own_files.missing(own_files.own_files(settings))])
        TOLD.update(gone)
        logger.error(own_files.told(gone))
    return asked[1]  # Snakemake itself refuses a missing input


def corpus_file(wildcards):
    """The user's file of a language."""
    return present(own_files.corpus_file(settings, wildcards.language), paths.corpus(**wildcards))


def evaluation_input(wildcards):
    value, method = split_intervention(wildcards.intervention)
    files = {
        "model": loadable(wildcards),
        "adapter": paths.adapter(wildcards.model, wildcards.task, wildcards.finetuning),
        "test": paths.task(wildcards.task, wildcards.language, "test"),
    }
    if method:
        files["mask"] = paths.neurons(wildcards.model, method)
        if value != "zero":  # the one value that no statistic says
            files["statistics"] = paths.statistics(wildcards.model, wildcards.language)
    return files


def expected_statistics(wildcards):
    """What the statistics that an intervention reads must be of; None for one that reads none."""
    if split_intervention(wildcards.intervention)[0] in ("none", "zero"):
        return None
    return {"site": settings.statistics.site, "estimate": settings.statistics.estimate}


def finetuning_input(wildcards):
    _, method = split_finetuning(wildcards.finetuning)
    source = getattr(settings.tasks, wildcards.task).source_language
    files = {"model": loadable(wildcards), "train": paths.task(wildcards.task, source, "train")}
    if getattr(settings.finetuning, wildcards.task).validation:
        files["validation"] = paths.task(wildcards.task, source, "test")
    if method:
        files["mask"] = paths.neurons(wildcards.model, method)
    return files


def finetuning_params(wildcards):
    """The keys of finetuning that this one's result depends on."""
    without = {"gradient_checkpointing"} | ({"targets"} if wildcards.finetuning == "base" else set())
    return getattr(settings.finetuning, wildcards.task).model_dump(exclude=without)


def identification_input(wildcards):
    """Counts of the method's languages; for random neurons, the masks whose numbers they copy."""
    if settings.methods[wildcards.method].kind == "random":
        references = random_references(settings, wildcards.method)
        return {"masks": [paths.neurons(wildcards.model, m) for m in sorted(set(references.values()))]}
    languages = statistics_languages(settings, wildcards.method)
    return {"activations": [paths.activations(wildcards.model, language) for language in languages]}


def method_settings(method):
    """The method's own keys, and the languages that its set or comparison stands for; None for no method."""
    if method is None:
        return None
    spec = settings.methods[method]
    chosen = spec.model_dump(exclude={"set", "like"}) | {"languages": method_languages(settings, method)}
    if spec.kind == "random":
        chosen["references"] = random_references(settings, method)
    return chosen


def method_params(wildcards):
    return method_settings(wildcards.method)


def task_languages(task):
    spec = getattr(settings.tasks, task)
    return one_of(sorted({spec.source_language, *spec.languages}))


def task_file(wildcards, task):
    """The user's file of a task, language and split."""
    return present(own_files.task_file(settings, task, **wildcards), paths.task(task, **wildcards))


def obstacle_at_the_hub(jobs):
    """Why these jobs of download rules cannot all be done, or None."""
    if not jobs:
        return None
    from langneurons.hub.access import obstacle
    from langneurons.hub.downloads import Repository

    kinds = ["model" if job.rule.name == "download_model" else "dataset" for job in jobs]
    sources = [job.params.get("hub", job.params) for job in jobs]
    return obstacle([Repository(kind, s["repository"], s["revision"]) for kind, s in zip(kinds, sources)])


def hub_source(wildcards, task):
    """The Hub's data set that a split of a task comes from."""
    spec = getattr(settings.tasks, task)
    squad = task == "xquad" and wildcards.split == "train" and spec.train == "squad"
    return {"dataset": "squad" if squad else task} | (spec.squad_hub if squad else spec.hub).model_dump()


def known_questions(task):
    """An input function: the task files that say which questions a test split of XQuAD may hold."""
    spec = settings.tasks.xquad
    trained = {"train": paths.task("xquad", spec.source_language, "train")}
    tested = {"source_test": paths.task("xquad", spec.source_language, "test")}

    def files(wildcards):
        if task != "xquad" or wildcards.split != "test":
            return {}
        return trained | (tested if spec.train == "xquad" and wildcards.language != spec.source_language else {})

    return files


def xquad_part(wildcards):
    """Which questions of XQuAD a split takes: all of them only where SQuAD trains."""
    return "all" if settings.tasks.xquad.train == "squad" else wildcards.split


def half_input(wildcards):
    """A language's counts on every second shard, under the language's name."""
    shards = {"even": SHARDS[::2], "odd": SHARDS[1::2]}[wildcards.half]
    if not shards:
        raise WorkflowError("corpus.shards: one shard has no halves; write 2 or more")
    languages = statistics_languages(settings, wildcards.method)
    return {
        language: [paths.shard_activations(wildcards.model, language, shard) for shard in shards]
        for language in languages
    }
