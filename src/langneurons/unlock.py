"""Free a directory that a killed Snakemake left locked: ``make unlock``.

    python -m langneurons.unlock [--directory DIRECTORY]

Snakemake's jobs on a cluster outlive it. Started again, it would submit them once more, and both would write the same
files. So this cancels the jobs that Snakemake submitted from the directory, waits until they are gone, then unlocks.
"""

from __future__ import annotations

import argparse
import getpass
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

SUBMITTED = ("rule_", "group_")  # how the executor's comments begin
LOGS = ".snakemake/slurm_logs"  # the executor's, of every job that it submits


def running(directory: Path) -> list[int]:
    """Processes of this machine that are a Snakemake of ``directory``, jobs on a cluster's node left out."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            inside = (entry / "environ").read_bytes().split(b"\0")
            at = Path(os.readlink(entry / "cwd"))
        except OSError:  # gone, or another person's
            continue
        called = any(Path(os.fsdecode(word)).name == "snakemake" for word in words[:3])
        if called and at == directory and not any(word.startswith(b"SLURM_JOB_ID=") for word in inside):
            found.append(int(entry.name))
    return found


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


def _slurm(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m langneurons.unlock", description=__doc__.partition("\n")[0])
    parser.add_argument("--directory", default=".", help="where Snakemake was called")
    directory = Path(parser.parse_args(arguments).directory).resolve()
    alive = running(directory)
    if alive:
        pids = ", ".join(map(str, alive))
        print(f"error: Snakemake runs here (process {pids}): let it end, or stop it with kill -INT {alive[0]}")
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


if __name__ == "__main__":
    sys.exit(main())
