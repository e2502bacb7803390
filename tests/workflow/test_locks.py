"""Two runs at once, a lock left behind, a directory that cannot be written: what is said, and what mends it."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
from snakemake_calls import ROOT, SMALLEST

from langneurons.runner import processes
from langneurons.runner.processes import end, processes_of

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


def unlock(directory, *arguments):
    """What ``make unlock`` calls."""
    words = [sys.executable, "-m", "langneurons", "unlock", "--directory", str(directory), *arguments]
    return subprocess.run(words, env=os.environ | {"PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True)


def held_run(tmp_path, run, wait, *arguments):
    """A started Snakemake of the directory ``run``, whose job waits while the file ``wait`` is there.

    ``arguments``: instead of the target.
    """
    (tmp_path / "hold").mkdir(exist_ok=True)
    (tmp_path / "hold/sitecustomize.py").write_text(WAIT, encoding="utf-8")
    wait.touch()
    run.mkdir()
    paths = f"{ROOT / 'src'}:{tmp_path / 'hold'}"
    started = subprocess.Popen(
        command(run, *(arguments or [TARGET])),
        env=os.environ | {"PYTHONPATH": paths, "WAIT": str(wait)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    until(lambda: list(run.glob(".snakemake/locks/*")) and any(not p.snakemake for p in processes_of(run)))
    return started


def until(true, seconds=120):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_two_runs_at_once_and_a_killed_one(tmp_path):
    wait, run = tmp_path / "wait", tmp_path / "run"
    first = held_run(tmp_path, run, wait)
    try:
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


@pytest.mark.parametrize("key", ["results", "resources"])
def test_two_runs_that_share_a_directory_do_not_mix_their_files(tmp_path, key):
    """Two working directories, so Snakemake's own locks say nothing: a merge took a shard of either configuration."""
    wait, shared = tmp_path / "wait", tmp_path / "shared"
    target = str(shared / "corpus/en/0000.parquet") if key == "resources" else TARGET
    arguments = [target, "--config", f"{key}={shared}"]
    first = held_run(tmp_path, tmp_path / "one", wait, *arguments)
    try:
        (tmp_path / "two").mkdir()
        second = call(tmp_path / "two", *arguments)
        assert second.returncode == 1 and "Traceback" not in second.stdout
        said = rf"{shared}: process {first.pid} of \S+ is another run that writes into it now; let it end"
        assert re.search(said, second.stdout), second.stdout
        assert call(tmp_path / "two", "--dry-run", *arguments).returncode == 0
        wait.unlink()
        assert first.wait(120) == 0
        assert call(tmp_path / "two", *arguments).returncode == 0
        assert not list(shared.rglob("*.lock"))
    finally:
        wait.unlink(missing_ok=True)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(first.pid, signal.SIGKILL)
        first.wait()


def test_a_job_that_outlived_snakemake_is_named_and_ended_on_request(tmp_path):
    """Its directory is not unlocked while it may write; another directory's run is left alone."""
    wait, run, other = tmp_path / "wait", tmp_path / "run", tmp_path / "other"
    first = second = None
    try:
        first, second = held_run(tmp_path, run, wait), held_run(tmp_path, other, wait)
        (job,) = (process.pid for process in processes_of(run) if not process.snakemake)
        first.kill()
        first.wait()
        refused = unlock(run)
        assert refused.returncode == 1
        assert refused.stdout.startswith("error: Snakemake has ended, and jobs that it started here still write")
        assert f"  process {job}: write_demo_corpus" in refused.stdout and "make unlock END=1" in refused.stdout
        assert list(run.glob(".snakemake/locks/*"))
        freed = unlock(run, "--end")
        assert freed.returncode == 0, freed.stdout
        assert freed.stdout.splitlines()[-1] == "Unlocked: call snakemake again."
        assert f"Ended process {job}: write_demo_corpus" in freed.stdout
        assert processes_of(run) == [] and not list(run.glob(".snakemake/locks/*"))
        left = processes_of(other)
        assert [p.pid for p in left if p.snakemake] == [second.pid] and len(left) == 2
        wait.unlink()
        assert second.wait(120) == 0 and (other / TARGET).is_file()
    finally:
        wait.unlink(missing_ok=True)
        for process in filter(None, (first, second)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextlib.contextmanager
def script(directory, body="import time; time.sleep(100)", name="evaluate", log=None):
    """A process as a job of ``directory`` is one: Snakemake's copy of a script, run there."""
    copy = directory / f".snakemake/scripts/tmp0a_1.{name}.py"
    copy.parent.mkdir(parents=True, exist_ok=True)
    opened = f"log = open({str(log)!r}, 'w')\n" if log else ""
    copy.write_text(f"{opened}print('ready', flush=True)\n{body}\n", encoding="utf-8")
    process = subprocess.Popen([sys.executable, str(copy)], cwd=directory, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_job_is_named_by_its_script_and_its_log(tmp_path):
    (tmp_path / "results/logs").mkdir(parents=True)
    with script(tmp_path, log=tmp_path / "results/logs/hi.log") as process:
        (found,) = processes_of(tmp_path)
        assert str(found) == f"process {process.pid}: evaluate (results/logs/hi.log)"
        link = tmp_path.with_name(tmp_path.name + "-link")
        link.symlink_to(tmp_path)
        assert processes_of(link) == [found]


def test_other_directories_and_programs_are_not_of_a_directory(tmp_path):
    (inner := tmp_path / "inner").mkdir()
    (near := tmp_path / "inner2").mkdir()
    with script(near), script(tmp_path), subprocess.Popen(["sleep", "100"], cwd=inner) as other:
        text = subprocess.Popen(["tail", "-f", "/dev/null", "snakemake"], cwd=inner, stderr=subprocess.DEVNULL)
        try:
            assert processes_of(inner) == []
            assert end(inner) == []
            assert other.poll() is None
            assert len(processes_of(near)) == len(processes_of(tmp_path)) == 1
        finally:
            for process in (other, text):
                process.kill()
                process.wait()


def test_a_job_that_ignores_sigterm_is_killed(tmp_path):
    body = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(100)"
    )
    with script(tmp_path, body) as process:
        assert process.stdout.readline() == "deaf\n"
        assert [found.pid for found in end(tmp_path, seconds=0.5)] == [process.pid]
        assert process.wait() == -signal.SIGKILL


def test_a_job_that_started_warm_is_found(tmp_path):
    """A fork of the process that starts jobs warm has that process's command line."""
    log = tmp_path / "long.log"
    copy = tmp_path / ".snakemake/scripts/tmp0a_1.identify_neurons.py"
    copy.parent.mkdir(parents=True)
    body = "    import os, time\n    open('pid', 'w').write(str(os.getpid()))\n    time.sleep(100)\n"
    given = f"SimpleNamespace(log=[{str(log)!r}], threads=1, config={{}})"
    start = f"from types import SimpleNamespace\nfrom langneurons.runner.jobs import job\nwith job({given}):\n"
    copy.write_text(start + body, encoding="utf-8")
    code = "import sys, langneurons.runner.warm as warm; warm.PRELOADED = (); sys.exit(warm.main(sys.argv[1:]))"
    words = [sys.executable, "-c", code, sys.executable, str(copy)]
    with subprocess.Popen(words, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT / "src")}) as server:
        until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
        found = {process.pid: process.what for process in processes_of(tmp_path)}
        pid = int((tmp_path / "pid").read_text())
        assert found[pid].startswith("identify_n") and found[pid].endswith("(long.log)")
        assert len(found) == 2 and server.pid not in found  # the client, too
        end(tmp_path)
        assert server.wait(30) != 0


def test_without_proc_ps_and_lsof_are_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "PROC", tmp_path / "no proc")
    (other := tmp_path / "other").mkdir()
    snakemake = tmp_path / "snakemake"
    snakemake.write_text("print('ready', flush=True); import time; time.sleep(100)", encoding="utf-8")
    words = [sys.executable, str(snakemake)]
    with (
        script(tmp_path) as job,
        script(other),
        subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as main,
    ):
        try:
            assert main.stdout.readline() == "ready\n"
            expected = {(job.pid, "evaluate"), (main.pid, "snakemake")}
            if shutil.which("lsof"):
                assert {(p.pid, p.what) for p in processes_of(tmp_path)} == expected
            monkeypatch.setattr(processes, "_directories", lambda pids: {})
            with pytest.raises(processes.Unknown, match=rf"in which directory process .*{main.pid}.* runs Snakemake"):
                processes_of(tmp_path)
        finally:
            main.kill()
    monkeypatch.setattr(processes, "_output", lambda *command: None)
    with pytest.raises(processes.Unknown, match="neither /proc nor `ps`"):
        processes_of(tmp_path)


@pytest.mark.parametrize("place", ["none", "file"])
def test_what_is_no_directory_is_not_unlocked(tmp_path, place):
    (tmp_path / "file").touch()
    done = unlock(tmp_path / place)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line == f"error: {tmp_path / place}: is no directory; name the one in which snakemake was called"


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


def test_a_job_that_runs_in_a_snakemake_of_its_own_is_no_run(tmp_path):
    """As those of an executor, and of a Snakemake whose jobs have one each."""
    (tmp_path / "snakemake.py").write_text("print('ready', flush=True); import time; time.sleep(100)", encoding="utf-8")
    words = [
        sys.executable,
        "-u",
        "-m",
        "snakemake",
        "--snakefile",
        "Snakefile",
        "--target-jobs",
        "evaluate:model=tiny",
    ]
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            (found,) = processes_of(tmp_path)
            assert (found.pid, found.what, found.snakemake) == (process.pid, "a job's snakemake", False)
            assert "jobs that it started here still write" in unlock(tmp_path).stdout
        finally:
            process.kill()
