"""What is left to run, by stage: jobs, Slurm jobs, GPU hours, disk. ``make plan``; it changes nothing.

    langneurons plan [--configfile FILE ...] [--directory DIRECTORY] [TARGET ...]

Jobs and their groups are Snakemake's own, from a dry run with the groups of ``profiles/slurm``. GPU hours are
estimates (:mod:`langneurons.runner.resources`), and so is disk; what they assume is printed below the table.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langneurons.config.files import check_overlays
from langneurons.config.load import Config, ConfigError
from langneurons.config.needed import left_out_text
from langneurons.runner.groups import limit_of
from langneurons.runner.resources import (
    HISTOGRAM,
    NEURON_SHARE,
    RATES,
    loaded_bytes,
    parameters,
    seconds,
    shard_tokens,
    snapshot_bytes,
)

PROFILE = "profiles/slurm/config.yaml"
TRIGGERS = ("rerun-triggers", "max-checksum-file-size", "rerun-incomplete")  # keys of it
# Bytes, measured: of a neuron's histogram of 10 and of 100 million tokens as a file; of a packed token.
SHARD_NEURON, LANGUAGE_NEURON, TOKEN = 700, 870, 2.5
CORPUS_SHARD = 0.17e9  # bytes: a tenth of the Wikipedia in one language, over the paper's 16
ATTENTION_SHARE = 1.1e-4  # parameters of LoRA on attention, by rank and parameter of the model
PREDICTION = 60  # bytes of an example's prediction


@dataclass(frozen=True)
class Planned:
    """A job: its rule and wildcards, and which Slurm job it is part of (None: it runs where Snakemake is called)."""

    rule: str
    wildcards: dict[str, str]
    slurm: int | None
    gpu: bool


@dataclass(frozen=True)
class SlurmJob:
    """What one Slurm job asks for; ``limit``: the profile's ``max_hours`` of it, in minutes (None: none is given)."""

    first: str  # a member: its rule and wildcards
    rules: frozenset[str]
    gpus: int
    memory: int  # MB
    minutes: int
    limit: int | None = None

    @property
    def too_long(self) -> bool:
        """Whether it asks for more than its limit."""
        return self.limit is not None and self.minutes > self.limit


@dataclass
class Stage:
    """A row of the plan."""

    rule: str
    jobs: int = 0
    slurm: set[int] = field(default_factory=set)
    gpu_hours: float = 0.0
    disk: float = 0.0  # bytes


def stages(config: Config, jobs: Iterable[Planned]) -> list[Stage]:
    """Rows by rule, in the order of their first job."""
    rows: dict[str, Stage] = {}
    for job in jobs:
        row = rows.setdefault(job.rule, Stage(job.rule))
        row.jobs += 1
        row.slurm |= set() if job.slurm is None else {job.slurm}
        row.gpu_hours += seconds(config, job.rule, job.wildcards) / 3600 if job.gpu else 0.0
        row.disk += disk(config, job.rule, job.wildcards)
    return list(rows.values())


def disk(config: Config, rule: str, wildcards: dict[str, str]) -> float:
    """Estimated bytes of a job's outputs."""
    if rule in ("download_corpus_shard", "import_corpus_shard"):
        return CORPUS_SHARD
    if "model" not in wildcards:
        return 1e5
    spec = config.models[wildcards["model"]]
    size = parameters(spec)
    if rule in ("download_model", "import_model", "pretrain_demo_model"):
        return snapshot_bytes(spec)
    if rule == "quantize_model":
        return loaded_bytes(spec)
    if rule == "finetune":
        return 4 * size * ATTENTION_SHARE * config.finetuning[wildcards["task"]].rank
    neurons = size * NEURON_SHARE
    return {
        "pack_tokens": TOKEN * shard_tokens(config),
        "pack_heldout_tokens": TOKEN * config.perplexity.tokens,
        "collect_activations": SHARD_NEURON * neurons,
        "merge_activations": LANGUAGE_NEURON * neurons,
        "summarize_activations": neurons * 8,
        "evaluate": PREDICTION * 5_000,
    }.get(rule, 1e5)


def ask_snakemake(
    configfiles: list[str], directory: str, targets: list[str], profile: str = PROFILE
) -> tuple[Config, list[Planned], list[SlurmJob]]:
    """The configuration, the jobs that a run of ``targets`` would start, and the Slurm jobs that they make.

    RuntimeError with Snakemake's own words where it refuses; ConfigError for files that are no configuration;
    ValueError outside the repository, or for a directory that is not there: a plan makes none.
    """
    if not Path("Snakefile").is_file() or not Path(profile).is_file():
        raise ValueError(f"{Path.cwd()}: has no Snakefile and {profile}; run this in the repository's root")
    if not Path(directory).is_dir():
        raise ValueError(f"--directory {directory}: is no directory; name the one in which snakemake runs")
    check_overlays(configfiles)
    from snakemake.api import SnakemakeApi
    from snakemake.cli import parse_size_in_bytes
    from snakemake.resources import Resources
    from snakemake.settings.types import (
        ConfigSettings,
        DAGSettings,
        GroupSettings,
        OutputSettings,
        Quietness,
        RerunTrigger,
        ResourceSettings,
    )

    options = _profile(profile)
    defaults, by_rule = _resources(options)
    said = io.StringIO()
    with (
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
        SnakemakeApi(OutputSettings(quiet={Quietness.ALL}, dryrun=True)) as api,
    ):
        workflow_api = api.workflow(
            snakefile=Path("Snakefile").resolve(),
            workdir=Path(directory).resolve(),
            config_settings=ConfigSettings(configfiles=[Path(f).resolve() for f in configfiles]),
            resource_settings=ResourceSettings(
                cores=1,
                nodes=1,
                resources=Resources.from_mapping(options["resources"]),
                default_resources=defaults,
                overwrite_resources=by_rule,
                overwrite_resource_scopes=options["set-resource-scopes"],
            ),
        )
        try:
            # What reruns a job is the profile's to say: without it, a file's date would, as of any fresh checkout.
            dag = DAGSettings(
                targets=set(targets),
                rerun_triggers=RerunTrigger.parse_choices_set(options["rerun-triggers"]),
                max_checksum_file_size=parse_size_in_bytes(options["max-checksum-file-size"]),
                force_incomplete=options["rerun-incomplete"],
            )
            dag_api = workflow_api.dag(dag)
            groups = GroupSettings(group_components=options["group-components"])
            dag_api.execute_workflow(executor="dryrun", group_settings=groups)
        except Exception as error:
            api.print_exception(error)
            raise RuntimeError(said.getvalue().strip()) from None
        workflow = workflow_api._workflow
        return (workflow.globals["settings"], *_read(workflow))


def _profile(path: str) -> dict:
    import yaml

    try:
        options = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        mark, what = getattr(error, "problem_mark", None), getattr(error, "problem", None) or "it cannot be read"
        raise ValueError(f"{path}{f', line {mark.line + 1}' if mark else ''}: {what}; correct it") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8") from None
    keys = ("resources", "set-resource-scopes", "group-components", *TRIGGERS)
    if missing := [key for key in keys if not isinstance(options, dict) or key not in options]:
        raise ValueError(f"{path}: has no {missing[0]}; add it, as in the repository's own file")
    return options


def _resources(options: dict) -> tuple[Any, dict[str, Any]]:
    """What the profile asks for every rule, and for single ones, as Snakemake itself reads it."""
    from snakemake.resources import Resources

    def parsed(values: Mapping[str, Any]) -> Resources:
        return Resources.parse([f"{name}={value}" for name, value in values.items()], allow_expressions=True)

    by_rule = {rule: parsed(values) for rule, values in options.get("set-resources", {}).items()}
    return parsed(options.get("default-resources", {})), by_rule


def _read(workflow: Any) -> tuple[list[Planned], list[SlurmJob]]:
    dag = workflow.dag
    number: dict[int, int] = {}
    jobs: list[Planned] = []
    slurm: list[SlurmJob] = []
    for job in sorted((job for job in dag.jobs if dag.needrun(job)), key=lambda job: job.jobid):
        if job.rule.norun:
            continue
        whole = dag._group.get(job, job)
        local = job.group is None and job.rule.name in workflow._localrules
        if not local and id(whole) not in number:
            number[id(whole)] = len(slurm)
            members = list(whole.jobs) if whole is not job else [job]
            asked = _asked(whole, workflow) if whole is not job else job.resources
            slurm.append(
                SlurmJob(
                    first=", ".join([job.rule.name, *(f"{k} {v}" for k, v in job.wildcards_dict.items())]),
                    rules=frozenset(member.rule.name for member in members),
                    gpus=asked.get("gpu", 0),
                    memory=asked.get("mem_mb", 0),
                    minutes=asked.get("runtime", 0),
                    limit=min(filter(None, map(limit_of, members)), default=None),
                )
            )
        place = None if local else number[id(whole)]
        jobs.append(Planned(job.rule.name, dict(job.wildcards_dict), place, bool(job.resources.get("gpu"))))
    order = {rule.name: i for i, rule in enumerate(workflow.rules)}
    return sorted(jobs, key=lambda job: order[job.rule]), slurm


def _asked(group: Any, workflow: Any) -> dict:
    """What a group asks Slurm for: Snakemake's own sum, as for a job that it submits."""
    from snakemake.resources import GroupResources

    return GroupResources.basic_layered(group.toposorted, workflow.global_resources, run_local=False)


def table(rows: list[Stage], slurm: list[SlurmJob]) -> str:
    """The plan as text. Stages of one group share their Slurm jobs, so the sum counts each once."""
    lines = [f"{'stage':24}{'jobs':>7}{'Slurm jobs':>12}{'GPU hours':>11}{'disk':>10}"]
    lines += [f"{r.rule:24}{r.jobs:7}{len(r.slurm):12}{r.gpu_hours:11.1f}{_size(r.disk):>10}" for r in rows]
    total, hours, space = sum(r.jobs for r in rows), sum(r.gpu_hours for r in rows), sum(r.disk for r in rows)
    lines.append(f"{'all':24}{total:7}{len(slurm):12}{hours:11.1f}{_size(space):>10}")
    if slurm:
        longest = max(job.minutes for job in slurm) / 60
        memory = max(job.memory for job in slurm) / 1000
        gpus = max(job.gpus for job in slurm)
        lines.append(f"A Slurm job asks for at most {gpus} GPU, {memory:.0f} GB of memory and {longest:.0f} hours.")
        lines += [
            f"Longer than max_hours: {job.first}: {job.minutes / 60:.1f} of {job.limit // 60} hours, as one job; "
            "raise max_hours of its rule in the profile, or make it smaller."
            for job in slurm
            if job.limit is not None and job.too_long
        ]
    fast, slow = RATES["nf4", "pass"] / 1e12, RATES["nf4", "training"] / 1e12
    lines.append(
        f"Estimates: a GPU that does {fast:.0f} ({slow:.0f} in training) trillion operations per second in 4 bits, as "
        f"an 80 GB A100; data sets of their public size; {CORPUS_SHARD / 1e9:.2f} GB per shard of text; "
        f"{NEURON_SHARE * HISTOGRAM * 1e9 / 1e6:.0f} MB of counts for a billion parameters in memory."
    )
    stage = (
        "After an edit of code, ask for its stage first (snakemake neurons, statistics, metrics, ...): what keeps its "
    )
    return "\n".join([*lines, *([f"{stage}bytes ends there."] if rows else [])])


def _size(number: float) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e8 else f"{number / 1e6:.1f} MB"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="langneurons plan", description=__doc__.partition("\n")[0])
    parser.add_argument("--configfile", nargs="+", default=[], help="overlays, as snakemake takes them")
    parser.add_argument("--directory", default=".", help="where results are")
    parser.add_argument("targets", nargs="*", help="as snakemake takes them; none: everything")
    chosen = parser.parse_intermixed_args(arguments)
    try:
        config, jobs, slurm = ask_snakemake(chosen.configfile, chosen.directory, chosen.targets)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    except ValueError as error:
        lines = str(error).splitlines()[1:] if isinstance(error, ConfigError) else [str(error)]
        print("\n".join(f"error: {line.strip()}" for line in lines), file=sys.stderr)
        return 2
    print(table(stages(config, jobs), slurm) if jobs else "Nothing to be done.")
    if config.left_out:
        print(left_out_text(config))
    return 0
