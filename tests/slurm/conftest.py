"""A cluster for this directory's tests, and one run of the whole workflow on it."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cluster import Cluster, why_not
from snakemake_calls import ROOT, SMALLEST

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """The running cluster. Where none can be: skipped, or, with SLURM_REQUIRED=1, failed."""
    reason = why_not()
    if reason and os.environ.get("SLURM_REQUIRED") == "1":
        pytest.fail(f"SLURM_REQUIRED=1, but {reason}")
    if reason:
        pytest.skip(reason)
    with Cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@dataclass
class Person:
    """Someone who calls Snakemake through profiles/slurm, in a directory of their own."""

    cluster: Cluster
    directory: Path
    hold: Path | None = None
    devices: dict[str, str] = field(default_factory=dict)  # what GPU each job had, which Slurm tells while it runs

    def command(self, *arguments: str) -> list[str]:
        files = ["--configfile", *(str(ROOT / name) for name in SMALLEST)]
        options = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(self.directory), "--nocolor"]
        # Real clusters are asked more rarely.
        haste = ["--slurm-init-seconds-before-status-checks=2", "--latency-wait=10", "--max-status-checks-per-second=5"]
        profile = ["--profile", str(ROOT / "profiles/slurm"), "--jobs=4"]
        return [sys.executable, "-m", "snakemake", *files, *options, *profile, *haste, *arguments]

    @property
    def environment(self) -> dict[str, str]:
        paths = [str(ROOT / "src")] + ([str(HERE / "hold")] if self.hold else [])
        own = {"PYTHONPATH": ":".join(paths)} | ({"LANGNEURONS_HOLD": str(self.hold)} if self.hold else {})
        return self.cluster.environment | own

    def start(self, *arguments: str) -> subprocess.Popen:
        """Snakemake, running: its output goes to ``snakemake.out`` beside the results."""
        with (self.directory / "snakemake.out").open("ab") as stream:
            options = {"stdout": stream, "stderr": stream, "env": self.environment, "cwd": self.directory}
            return subprocess.Popen(self.command(*arguments), **options)

    def call(self, *arguments: str) -> int:
        """Snakemake, to its end: its exit status."""
        return self.start(*arguments).wait()

    @property
    def output(self) -> str:
        return (self.directory / "snakemake.out").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def undisturbed(cluster, tmp_path_factory) -> Person:
    """A finished run of the whole smallest workflow on the cluster: never change its directory."""
    person = Person(cluster, tmp_path_factory.mktemp("undisturbed"))
    process = person.start()
    try:
        while process.poll() is None:
            for job in cluster.jobs():
                if "IDX" in job.get("GRES", ""):  # of running jobs alone
                    person.devices[job["JobId"]] = job["GRES"]
            time.sleep(1)
    finally:
        process.kill()  # where the tests are interrupted
        process.wait()
    assert process.returncode == 0, person.output[-10_000:]
    return person
