"""Two runs at once, a lock left behind, a directory that cannot be written: what is said, and what mends it."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from snakemake_calls import ROOT, SMALLEST

TARGET = "resources/corpus/en/0000.parquet"
# Read by every Python of a run: its jobs wait while the file of this name is there.
WAIT = """
import os, sys, time
while sys.orig_argv[-1].endswith(".write_demo_corpus.py") and os.path.exists(os.environ["WAIT"]):
    time.sleep(0.05)
"""


def command(directory, *arguments):
    files = ["--configfile", *(str(ROOT / name) for name in SMALLEST)]
    options = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(directory), "--nocolor", "--cores", "1"]
    return [sys.executable, "-m", "snakemake", *files, *options, *arguments]


def call(directory, *arguments, prefix=()):
    captured = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "check": False}
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    return subprocess.run([*prefix, *command(directory, *arguments)], env=environment, cwd=ROOT, **captured)


def unlock(directory):
    """What ``make unlock`` calls."""
    words = [sys.executable, "-m", "langneurons.unlock", "--directory", str(directory)]
    return subprocess.run(words, env=os.environ | {"PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True)


def test_two_runs_at_once_and_a_killed_one(tmp_path):
    (tmp_path / "hold").mkdir()
    (tmp_path / "hold/sitecustomize.py").write_text(WAIT, encoding="utf-8")
    (wait := tmp_path / "wait").touch()
    (run := tmp_path / "run").mkdir()
    paths = f"{ROOT / 'src'}:{tmp_path / 'hold'}"
    first = subprocess.Popen(
        command(run, TARGET),
        env=os.environ | {"PYTHONPATH": paths, "WAIT": str(wait)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        end = time.monotonic() + 120
        while not list(run.glob(".snakemake/locks/*")) or not list(run.glob(".snakemake/scripts/*")):
            assert time.monotonic() < end
            time.sleep(0.1)
        second = call(run, TARGET)
        assert second.returncode == 1
        assert "Directory cannot be locked" in second.stdout
        assert "Traceback" not in second.stdout
        refused = unlock(run)
        assert refused.returncode == 1
        assert f"Snakemake runs here (process {first.pid})" in refused.stdout
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
        wait.unlink()
    after = call(run, TARGET)
    assert after.returncode == 1
    assert "--unlock" in after.stdout
    freed = unlock(run)
    assert (freed.returncode, freed.stdout) == (0, "Unlocked: call snakemake again.\n")
    again = call(run, "--rerun-incomplete", TARGET)
    assert again.returncode == 0, again.stdout
    assert (run / TARGET).is_file()
    assert unlock(run).stdout == "Nothing is locked here.\n"


@pytest.mark.parametrize("submitted", [False, True])
def test_a_slurm_that_does_not_answer_matters_only_where_jobs_were_submitted(tmp_path, monkeypatch, submitted):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/squeue").write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    (tmp_path / "bin/squeue").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    lock = tmp_path / ".snakemake/locks/0.input.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    if submitted:
        (tmp_path / ".snakemake/slurm_logs").mkdir()
    done = unlock(tmp_path)
    assert done.returncode == submitted
    assert lock.exists() == submitted
    assert ("jobs may be left in Slurm, which does not answer" in done.stdout) == submitted


@pytest.mark.parametrize("key", ["results", "resources"])
def test_a_directory_that_cannot_be_written_is_named(tmp_path, key):
    """Root may write anywhere: there, the run does without that right."""
    lower = []
    if os.geteuid() == 0:
        lower = ["setpriv", "--bounding-set=-dac_override"]
        if shutil.which("setpriv") is None:
            pytest.skip("root, and no setpriv here to give up the right to write anywhere")
    (tmp_path / key).mkdir(mode=0o555)
    done = call(tmp_path, TARGET, prefix=lower)
    assert done.returncode == 1
    assert f"{key}: nothing can be written in {tmp_path / key}" in done.stdout, done.stdout
    assert f"chmod -R u+w {tmp_path / key}" in done.stdout
    assert "Traceback" not in done.stdout
    assert list((tmp_path / key).iterdir()) == []
