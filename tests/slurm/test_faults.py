"""Faults of a cluster: after at most one more call of Snakemake, the tables are an undisturbed run's to the byte.

Each works on a copy of the undisturbed run that lacks one table and one or two of its conditions.
"""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import Person

CONDITIONS = ["xquad/base/vi/p90@lape-set1", "xquad/base/vi/none"]
MODEL, TABLE = "tiny-llama", "results/tables/xquad.tsv"
WRITTEN = [f"results/tables/xquad.{ending}" for ending in ("tsv", "md", "tex")]


class Fault:
    """A person whose evaluations wait, or are too large or too slow, as the files in their ``hold`` say."""

    def __init__(self, cluster, undisturbed, base: Path, *hold: str, conditions: int = 1):
        self.cluster, self.undisturbed = cluster, undisturbed
        shutil.copytree(undisturbed.directory, base / "run")
        (base / "run/snakemake.out").unlink()
        self.hold = base / "hold"
        self.hold.mkdir()
        for name in hold:
            (self.hold / name).touch()
        self.person = Person(cluster, base / "run", self.hold)
        for condition in CONDITIONS[:conditions]:
            for kind, ending in (("metrics", "tsv"), ("predictions", "parquet")):
                task, rest = condition.split("/", 1)
                (base / "run/results" / MODEL / kind / task / f"{rest}.{ending}").unlink()
        for name in WRITTEN:
            (base / "run" / name).unlink()

    def start(self, *options: str) -> subprocess.Popen:
        return self.person.start(*options, TABLE)

    def job_started(self, times: int = 1) -> str:
        """Wait until an evaluation has started for the n-th time; its job in Slurm."""
        file = self.hold / "started"
        self.cluster.wait_for(
            lambda: file.exists() and len(file.read_text().splitlines()) >= times, "an evaluation", seconds=240
        )
        return file.read_text().split()[-2]

    def release(self) -> None:
        (self.hold / "wait").unlink()

    def jobs(self) -> list[dict[str, str]]:
        mine = [job for job in self.cluster.jobs() if job["WorkDir"] == str(self.person.directory)]
        return sorted(mine, key=lambda job: int(job["JobId"]))

    def job(self, number: str) -> dict[str, str]:
        return next(job for job in self.jobs() if job["JobId"] == number)

    def states(self) -> list[str]:
        return [job["JobState"] for job in self.jobs()]

    def expect_the_same(self) -> None:
        for name in WRITTEN:
            there, expected = self.person.directory / name, self.undisturbed.directory / name
            assert there.read_bytes() == expected.read_bytes()
        for condition in CONDITIONS:
            path = f"results/{MODEL}/predictions/{condition}.parquet"
            assert (self.person.directory / path).read_bytes() == (self.undisturbed.directory / path).read_bytes()

    def expect_success(self, process: subprocess.Popen) -> None:
        assert process.wait(timeout=600) == 0, self.person.output[-5000:]
        self.expect_the_same()


@pytest.fixture(scope="module")
def slow(cluster, undisturbed, tmp_path_factory):
    """Two faults that take minutes of waiting, under way while the other tests run."""
    started = {}
    for name, option in {"time": "runtime=attempt**3", "memory": "mem_mb=1500*attempt"}.items():
        fault = Fault(cluster, undisturbed, tmp_path_factory.mktemp(name), name)
        started[name] = fault, fault.start("--set-resources", f"evaluate:{option}", "--")
    yield started
    for _, process in started.values():
        process.kill()
        process.wait()


@pytest.fixture
def fault(cluster, undisturbed, tmp_path, slow):
    made = []

    def make(conditions: int = 1) -> Fault:
        made.append(Fault(cluster, undisturbed, tmp_path, "wait", conditions=conditions))
        return made[-1]

    yield make
    for each in made:
        (each.hold / "wait").unlink(missing_ok=True)


def test_a_cancelled_group_runs_again(cluster, fault):
    here = fault(conditions=2)
    process = here.start()
    job = here.job_started()
    assert (here.hold / "started").read_text().split()[-1] == "0"  # the GPU that the job may see
    refused = unlock(here.person)  # not while Snakemake runs
    assert refused.returncode == 1
    assert f"Snakemake runs here (process {process.pid})" in refused.stdout
    assert here.job(job)["JobState"] == "RUNNING"
    cluster.ask("scancel", job)
    here.release()
    here.expect_success(process)
    assert here.states() == ["CANCELLED", "COMPLETED"]  # two conditions, one job


def test_a_preempted_job_goes_back_into_the_queue(cluster, fault):
    here = fault()
    process = here.start()
    job = here.job_started()
    node = here.job(job)["NodeList"]
    urgent = ["--partition=urgent", f"--nodelist={node}", "--gpus=1", "--time=1", "--output=/dev/null"]
    cluster.ask("sbatch", *urgent, "--wrap=sleep 1")
    cluster.wait_for(lambda: here.job(job)["Restarts"] == "1", "the requeued job")
    here.release()
    here.expect_success(process)
    assert here.states() == ["COMPLETED"]
    assert [j["Restarts"] for j in here.jobs()] == ["1"]


def test_after_sigkill_one_command_frees_the_directory(cluster, fault):
    here = fault()
    process = here.start()
    job = here.job_started()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert here.job(job)["JobState"] == "RUNNING"  # Slurm's job outlives Snakemake
    assert here.person.call(TABLE) != 0
    assert "cannot be locked" in here.person.output
    done = unlock(here.person)
    assert done.returncode == 0, done.stdout
    assert f"Cancelled in Slurm: {job}\nUnlocked" in done.stdout
    assert here.job(job)["JobState"] == "CANCELLED"
    here.release()
    here.expect_success(here.start())
    assert here.states() == ["CANCELLED", "COMPLETED"]


def unlock(person: Person) -> subprocess.CompletedProcess:
    """What ``make unlock`` calls."""
    command = [sys.executable, "-m", "langneurons", "unlock", "--directory", str(person.directory)]
    return subprocess.run(command, env=person.environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("kind", "state"), [("time", "TIMEOUT"), ("memory", "FAILED")])
def test_too_little_time_or_memory_is_raised(slow, kind, state):
    here, process = slow[kind]
    here.expect_success(process)
    states = here.states()
    assert states[0] in (state, "OUT_OF_MEMORY" if kind == "memory" else state)
    assert states[-1] == "COMPLETED"
    assert 2 <= len(states) <= 3


def test_a_node_that_goes_down_loses_its_job_to_another(cluster, fault):
    here = fault()
    process = here.start()
    job = here.job_started()
    node = here.job(job)["NodeList"]
    cluster.crash_node(node)
    try:
        cluster.wait_for(lambda: here.job(job)["Restarts"] == "1", "the requeued job")
        here.release()
        here.expect_success(process)
        assert here.job(job)["NodeList"] != node
    finally:
        cluster.mend_node(node)
    assert here.states() == ["COMPLETED"]


def test_a_restart_of_the_controller_is_not_noticed(cluster, fault):
    here = fault()
    process = here.start()
    here.job_started()
    cluster.stop("slurmctld")
    here.release()
    time.sleep(20)  # the job ends, and Snakemake asks, while nobody answers
    assert process.poll() is None
    cluster.start_controller()
    here.expect_success(process)
    assert here.states() == ["COMPLETED"]
