"""The processes of this machine that write into a directory: Snakemake itself, and the jobs that it started there.

A job outlives a Snakemake that was killed. It is known by its script, which Snakemake writes below
``.snakemake/scripts`` of the directory, and one that started warm (:mod:`langneurons.runner.warm`) by its working
directory and the name that it gave itself.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
WARM_JOB = "job:"  # how the name of a job that started warm begins; a name has 15 bytes
_SCRIPT = re.compile(r"(?P<directory>.*)/\.snakemake/scripts/tmp[^./]*\.(?P<name>.+)\.[A-Za-z]+$")


class Unknown(RuntimeError):
    """Processes that may be of the directory, but this system does not say so."""


@dataclass(frozen=True)
class Process:
    """A process of a directory: what it runs, and whether it is Snakemake itself rather than a job."""

    pid: int
    what: str
    snakemake: bool = False

    def __str__(self) -> str:
        return f"process {self.pid}: {self.what}"


@dataclass(frozen=True)
class _Seen:
    """What the system says of a process; ``directory`` and ``name`` are None where it does not say them."""

    pid: int
    words: list[str]
    directory: str | None
    name: str | None = None
    slurm_job: str | None = None


def processes_of(directory: Path) -> list[Process]:
    """This user's processes that are a Snakemake of ``directory`` or a job of it, by their number.

    Jobs of another Slurm job on this machine are left out: they are ended by ``scancel``. Unknown where a Snakemake
    runs and the system does not say in which directory.
    """
    own, place = os.environ.get("SLURM_JOB_ID"), directory.resolve()
    found, unknown = [], []
    for seen in _seen():
        if seen.pid == os.getpid() or (seen.slurm_job and seen.slurm_job != own):
            continue
        here = None if seen.directory is None else _same(seen.directory, place)
        program = _python_program(seen.words) or ""
        if script := _SCRIPT.match(program):
            if _same(script["directory"], place) or (here and not os.path.isabs(script["directory"])):
                found.append(Process(seen.pid, script["name"] + _log_of(seen.pid, place)))
        elif here and seen.name and seen.name.startswith(WARM_JOB):
            found.append(Process(seen.pid, seen.name.removeprefix(WARM_JOB) + _log_of(seen.pid, place)))
        elif Path(program).name == "snakemake":
            if here is None:
                unknown.append(str(seen.pid))
            elif here:
                job = "--target-jobs" in seen.words
                found.append(Process(seen.pid, "a job's snakemake" if job else "snakemake", snakemake=not job))
        elif program == "langneurons.runner.warm" and seen.name is None and here is not False:  # its jobs look like it
            if here is None:
                unknown.append(str(seen.pid))
            else:
                found.append(Process(seen.pid, "the process that starts jobs warm, or a job of it"))
    if unknown:
        raise Unknown(
            f"this system does not say in which directory process {', '.join(unknown)} runs Snakemake; "
            "install lsof, or let it end"
        )
    return sorted(found, key=lambda process: process.pid)


def end(directory: Path, seconds: float = 20) -> list[Process]:
    """End the processes of ``directory``: SIGTERM, after ``seconds`` SIGKILL; those that there were.

    Processes that appear meanwhile are ended too. TimeoutError if one is left after twice that time, as where it
    waits for a disk that does not answer.
    """
    start = time.monotonic()
    sent: dict[int, signal.Signals] = {}
    ended: dict[int, Process] = {}
    while left := processes_of(directory):
        passed = time.monotonic() - start
        if passed > 2 * seconds:
            raise TimeoutError(f"still there after SIGKILL: {_listed(left)}")
        number = signal.SIGKILL if passed > seconds else signal.SIGTERM
        for process in left:
            ended[process.pid] = process
            if sent.get(process.pid) != number:
                sent[process.pid] = number
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, number)
        time.sleep(0.1)
    return list(ended.values())


def _listed(processes: Iterable[Process]) -> str:
    return "; ".join(map(str, processes))


def _python_program(words: list[str]) -> str | None:
    """The module or the script that a command line has Python run; None for other programs."""
    if not words or not re.match(r"(python|pypy)[\d.]*$", Path(words[0]).name, re.IGNORECASE):
        return None
    rest = iter(words[1:])
    for word in rest:
        if word == "-m":
            return next(rest, None)
        if word in ("-X", "-W"):
            next(rest, None)
        elif word == "-c":
            return None
        elif not word.startswith("-"):
            return word
    return None


def _same(path: str, directory: Path) -> bool:
    with contextlib.suppress(OSError):
        return os.path.samefile(path, directory)
    return False


def _log_of(pid: int, directory: Path) -> str:
    """Which job of its rule a process is: the log that it writes, where the system says so."""
    with contextlib.suppress(OSError):
        for link in (PROC / str(pid) / "fd").iterdir():
            with contextlib.suppress(OSError, ValueError):
                path = Path(os.readlink(link))
                if path.suffix == ".log" and ".snakemake" not in path.parts:
                    return f" ({path.relative_to(directory)})"
    return ""


def _seen() -> Iterator[_Seen]:
    """This user's processes, but for those that are zombies or end while they are looked at."""
    if (PROC / "self").exists():
        for entry in PROC.glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if entry.stat().st_uid == os.getuid():
                    words = _zero_separated(entry / "cmdline")
                    inside = [word for word in _zero_separated(entry / "environ") if word.startswith("SLURM_JOB_ID=")]
                    name = (entry / "comm").read_text(encoding="utf-8", errors="replace").strip()
                    # The link itself leads there, also where its text says another mount's path.
                    yield _Seen(
                        int(entry.name), words, str(entry / "cwd"), name, *(i.split("=")[1] for i in inside[:1])
                    )
        return
    listed = _output("ps", "-ww", "-U", str(os.getuid()), "-o", "pid=", "-o", "command=")
    if listed is None:
        raise Unknown("neither /proc nor `ps` says which processes run here; see that no job is left")
    lines = [line.split(maxsplit=1) for line in listed.splitlines()]
    # A script's path may hold spaces, and has no arguments after it.
    commands = {
        int(words[0]): words[1].split(maxsplit=1 if "/.snakemake/scripts/" in words[1] else -1)
        for words in lines
        if len(words) == 2
    }
    interesting = [pid for pid, words in commands.items() if _python_program(words)]
    places = _directories(interesting)
    for pid in interesting:
        yield _Seen(pid, commands[pid], places.get(pid))


def _zero_separated(path: Path) -> list[str]:
    return [os.fsdecode(word) for word in path.read_bytes().split(b"\0") if word]


def _directories(pids: list[int]) -> dict[int, str]:
    """Working directories, as lsof says them; none where there is no lsof."""
    listed = _output("lsof", "-a", "-d", "cwd", "-p", ",".join(map(str, pids)), "-Fpn") if pids else None
    found, pid = {}, 0
    for line in (listed or "").splitlines():
        if line.startswith("p"):
            pid = int(line[1:])
        elif line.startswith("n"):
            found[pid] = line[1:]
    return found


def _output(*command: str) -> str | None:
    """What a command prints; None where it is not here."""
    if shutil.which(command[0]) is None:
        return None
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60).stdout
