"""Calling Snakemake as a person does, in a directory of the test's own."""

from __future__ import annotations

import functools
import multiprocessing
import os
import subprocess
import sys
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path

ROOT = Path(__file__).parents[1]
SMALLEST = ("config/demo.yaml", "tests/end_to_end/smallest.yaml")

Finished = subprocess.CompletedProcess[str]

# Importing Snakemake takes longer than most of its dry runs do: one process imports it, and each call is its fork.
_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["snakemake.cli"])


@functools.cache
def without_network() -> tuple[list[str], dict[str, str]]:
    """What a command needs before it and in its environment to have no network: not even this machine's own.

    A network namespace of its own where the kernel allows one, else sockets that refuse to connect in every Python.
    """
    apart = ["unshare", "--map-root-user", "--net"]
    try:
        allowed = subprocess.run([*apart, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        allowed = False
    return (apart, {}) if allowed else ([], {"PYTHONPATH": f"{ROOT / 'tests/no_network'}:{ROOT / 'src'}"})


def snakemake(
    directory: Path,
    *arguments: str | Path,
    configs: tuple[str | Path, ...] = SMALLEST,
    warm: bool = False,
    network: bool = True,
) -> Finished:
    """Run ``snakemake`` on this workflow in ``directory``; its exit status, and all its output as text.

    Of an option that takes any number of values, as ``--quiet``, write ``--quiet=rules``: targets come last.
    ``warm``: jobs start from one process that has the heavy libraries (``langneurons.runner.warm``). ``network``: False
    cuts it, for all of the run.
    """
    command = [sys.executable, "-m", "snakemake", *_options(directory, arguments, configs)]
    if warm:
        command = [sys.executable, "-m", "langneurons", "warm", *command]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    if not network:
        before, settings = without_network()
        command, environment = [*before, *command], environment | settings
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "check": False}
    return subprocess.run(command, env=environment, cwd=ROOT, **options)


def parse(directory: Path, *arguments: str | Path, configs: tuple[str | Path, ...] = SMALLEST) -> Finished:
    """As :func:`snakemake`, but sooner there: for a call that starts no job."""
    command = _options(directory, arguments, configs)
    with tempfile.NamedTemporaryFile() as output:
        # The status comes through a pipe of the call's own: `exitcode` is 255 where a process that another thread
        # starts meanwhile (it polls every child) reads it first.
        status, answer = _forks.Pipe(duplex=False)
        process = _forks.Process(target=_main, args=(command, output.name, answer))
        process.start()
        answer.close()
        try:
            code = status.recv()
        except EOFError:
            code = -1  # killed before it ended
        process.join()
        status.close()
        text = Path(output.name).read_text(encoding="utf-8")
    return subprocess.CompletedProcess(["snakemake", *command], code, text)


def planned(directory: Path, *arguments: str | Path, configs: tuple[str | Path, ...] = SMALLEST) -> dict[str, int]:
    """Rule -> number of jobs that a dry run would start (without the target rule itself)."""
    done = parse(directory, "--dry-run", "--quiet=rules", *arguments, configs=configs)
    assert done.returncode == 0, done.stdout
    return job_counts(done.stdout)


def job_counts(output: str) -> dict[str, int]:
    """Rule -> number of jobs, from Snakemake's "Job stats"; empty where it says that nothing is to be done."""
    lines = [line.split() for line in output.splitlines()]
    if ["job", "count"] not in lines:
        assert "Nothing to be done" in output, output
        return {}
    start = lines.index(["job", "count"]) + 2
    rules = {words[0]: int(words[1]) for words in lines[start : lines.index([], start)]}
    total = rules.pop("total")
    assert total == sum(rules.values()), output
    rules.pop("all", None)
    return rules


def _options(directory: Path, arguments: tuple[str | Path, ...], configs: tuple[str | Path, ...]) -> list[str]:
    options = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(directory), "--nocolor"]
    if configs:
        options += ["--configfile", *(str(ROOT / config) for config in configs)]
    return [*options, "--cores", "2", "--show-failed-logs", "--nolock", *map(str, arguments)]


def _main(command: list[str], output: str, answer: Connection) -> None:
    """In the fork: Snakemake's own main, its output to a file and its exit status to a pipe."""
    with open(output, "wb") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT / "src"))
    sys.argv = ["snakemake", *command]
    from snakemake.cli import main

    try:
        main(command)
    except SystemExit as ended:
        sys.stdout.flush()
        sys.stderr.flush()
        answer.send(ended.code or 0)
        raise
