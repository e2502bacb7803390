"""What Slurm's own records say of a run of the whole workflow through profiles/slurm."""

import re

import pytest
from cluster import MEMORY
from snakemake_calls import job_counts, planned


@pytest.fixture(scope="module")
def jobs(cluster, undisturbed):
    """The undisturbed run's jobs, by what the executor wrote as their comment."""
    found = [job for job in cluster.jobs() if job["WorkDir"] == str(undisturbed.directory)]
    assert found
    return found


def name(job):
    """What the executor calls a job in Slurm, without the rules of a group: evaluate-tiny-llama-xnli."""
    return re.match(r"rule_([a-z-]+-tiny-(?:llama|mistral)(?:-xnli|-xquad)?|[a-z_]+?)_", job["Comment"] + "_")[1]


def kind(job):
    return "pretrain" if "pretrain_demo_model" in job["Comment"] else name(job).partition("-")[0]


def test_every_job_completed_at_the_first_try(jobs, undisturbed):
    assert {job["JobState"] for job in jobs} == {"COMPLETED"}
    assert {job["Restarts"] for job in jobs} == {"0"}
    assert planned(undisturbed.directory) == {}


def test_groups_ran_as_one_job(jobs):
    models, tasks = ("tiny-llama", "tiny-mistral"), ("xnli", "xquad")
    by_model = [f"{stage}-{model}" for stage in ("pack", "collect", "counts", "perplexity") for model in models]
    by_task = [f"{stage}-{m}-{t}" for stage in ("finetune", "evaluate") for m in models for t in tasks]
    alone = ["pretrain", "pretrain", "quantize"]  # a job per model, of which one is in 4 bits
    assert sorted(name(job) for job in jobs if kind(job) not in alone) == sorted([*by_model, *by_task])
    assert sorted(kind(job) for job in jobs if kind(job) in alone) == alone


def test_each_gpu_job_had_one_gpu_and_its_index(jobs, undisturbed):
    gpu = [job for job in jobs if kind(job) in ("quantize", "collect", "finetune", "evaluate", "perplexity")]
    assert len(gpu) == 1 + 2 + 4 + 4 + 2
    for job in gpu:
        assert job["JOB_GRES"] == "gpu:1", job
        assert undisturbed.devices[job["JobId"]] == "gpu:1(IDX:0)"


def test_no_other_job_had_a_gpu(jobs, undisturbed):
    others = [job for job in jobs if kind(job) in ("pack", "counts", "pretrain")]
    assert len(others) == 2 + 2 + 2
    assert {job["JOB_GRES"] for job in others} == {"(null)"}
    assert not {job["JobId"] for job in others} & set(undisturbed.devices)


def test_nothing_asked_for_more_than_a_node_has(jobs):
    for job in jobs:
        asked = dict(item.split("=") for item in job["TRES"].split(","))
        assert int(asked["node"]) == 1
        assert int(asked["cpu"]) <= 2
        assert asked["mem"].endswith("M") or asked["mem"].endswith("G")
        assert float(asked["mem"][:-1]) * (1024 if asked["mem"].endswith("G") else 1) <= MEMORY


def test_writing_gathering_and_drawing_ran_where_snakemake_was_called(jobs, undisturbed):
    written = {"write_demo_corpus", "write_demo_task", "write_report", "render_table", "compare"}
    local = written | {"draw_neurons", "draw_perplexity", "draw_curves"}
    assert local <= set(job_counts(undisturbed.output))
    assert not [job for job in jobs for rule in local if rule in job["Comment"]]
