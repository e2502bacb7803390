"""Free a directory that a killed Snakemake left locked: ``make unlock``.

    langneurons unlock [--directory DIRECTORY] [--end]

Snakemake's jobs may outlive it, on this machine and on a cluster. Started again, it would start them once more, and
both would write the same files. So this names the processes of the directory that still run here and refuses, or with
``--end`` ends them; then it cancels the jobs that Snakemake submitted to Slurm from the directory, waits until they
are gone, and unlocks. Jobs of other directories are left alone.
"""

from __future__ import annotations

import argparse
import getpass
import shutil
import subprocess
import sys
import time
from pathlib import Path

from langneurons.runner.processes import Process, Unknown, end, processes_of

SUBMITTED = ("rule_", "group_")  # how the executor's comments begin
LOGS = ".snakemake/slurm_logs"  # the executor's, of every job that it submits


def orphans(directory: Path) -> list[str]:
    """Slurm's ids of jobs in the queue that Snakemake submitted from ``directory``."""
    lines = _slurm("squeue", "-h", "-u", getpass.getuser(), "-o", "%i|%Z|%k").splitlines()
    jobs = [line.split("|", 2) for line in lines]
    return [job for job, at, comment in jobs if Path(at) == directory and comment.startswith(SUBMITTED)]


def cancel(directory: Path, seconds: float = 300) -> list[str]:
    """Cancel the orphans and wait until they are gone; TimeoutError if some are not after ``seconds``."""
    jobs = orphans(directory)
    if jobs:
        _slurm("scancel", *jobs)
    end = time.monotonic() + seconds
    while left := orphans(directory):
        if time.monotonic() > end:
            raise TimeoutError(
                f"Slurm still ends jobs {', '.join(left)}; call again when `squeue` no longer lists them"
            )
        time.sleep(1)
    return jobs


def _refusal(alive: list[Process]) -> str:
    """Why the directory is not unlocked: what runs there, and how that ends."""
    lines = [f"  {process}" for process in alive]
    main = [process for process in alive if process.snakemake]
    if main:
        reason = f"Snakemake runs here (process {main[0].pid}): let it end, or stop it with kill -INT {main[0].pid}"
    else:
        reason = "Snakemake has ended, and jobs that it started here still write: let them end"
    return "\n".join([f"{reason}; or end all of these with `make unlock END=1` (--end):", *lines])


def _slurm(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="langneurons unlock", description=__doc__.partition("\n")[0])
    parser.add_argument("--directory", default=".", help="where Snakemake was called")
    parser.add_argument("--end", action="store_true", help="end the processes that still run there")
    asked = parser.parse_args(arguments)
    directory = Path(asked.directory).resolve()
    if not directory.is_dir():
        print(f"error: {asked.directory}: is no directory; name the one in which snakemake was called", file=sys.stderr)
        return 2
    try:
        alive = processes_of(directory)
        if alive and not asked.end:
            print(f"error: {_refusal(alive)}")
            return 1
        for process in end(directory) if alive else []:
            print(f"Ended {process}")
    except (Unknown, TimeoutError) as error:
        print(f"error: {error}; then call again")
        return 1
    try:
        cancelled = cancel(directory) if shutil.which("squeue") else []
    except TimeoutError as error:
        print(f"error: {error}")
        return 1
    except subprocess.SubprocessError as error:
        if (directory / LOGS).is_dir():
            print(f"error: jobs may be left in Slurm, which does not answer ({error}); call again when `squeue` does")
            return 1
        cancelled = []  # Slurm's commands are here, but nothing was submitted with them
    if cancelled:
        print(f"Cancelled in Slurm: {', '.join(cancelled)}")
    locks = sorted((directory / ".snakemake/locks").glob("*.lock"))
    for lock in locks:
        lock.unlink()
    print("Unlocked: call snakemake again." if locks else "Nothing is locked here.")
    return 0
