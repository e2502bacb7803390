"""What every job of the workflow does first: log to its file, go offline, fix its threads."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TextIO

from langneurons.files import FULL, DiskFull
from langneurons.hub.errors import hub_faults
from langneurons.registry import load_extensions
from langneurons.runner.environment import keep_freed_memory, prepare_environment
from langneurons.runner.warm import run_warm

# Faults of the input or of the disk: reported in one line. Anything else is a fault of ours and keeps its traceback.
EXPECTED = (ValueError, FloatingPointError, DiskFull)


class Snakemake(Protocol):
    """What a job takes from the object that Snakemake gives a script."""

    log: Sequence[str]
    threads: int
    config: Mapping[str, Any]


@contextlib.contextmanager
def job(snakemake: Snakemake, network: bool = False) -> Iterator[None]:
    """Run a script's body: output to its log, the hub offline unless ``network``, on the rule's CPU threads.

    The entries in the configuration's ``extensions`` are known in it.
    An expected error, with ``network`` also what the Hub refuses, ends the process with status 1 and one line
    in the log; no exception is swallowed.
    Where a warm process waits (:mod:`langneurons.runner.warm`), the whole script runs there and ends here.
    """
    log, threads = snakemake.log[0], snakemake.threads
    if not network:
        status = run_warm(sys.argv[0])
        if status is not None:
            sys.exit(status)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)
    prepare_environment(network)
    keep_freed_memory()
    # A job's heavy imports allocate millions of objects that live on: collecting them costs a fifth of
    # its start. Reference counting frees what the short job itself drops.
    gc.disable()
    with (
        _opened(log) as stream,
        contextlib.redirect_stdout(stream),
        contextlib.redirect_stderr(stream),
    ):
        try:
            load_extensions(snakemake.config.get("extensions", []))
            with hub_faults() if network else contextlib.nullcontext():
                yield
            stream.flush()
        except EXPECTED as error:
            _tell(f"error: {error}", stream)
            sys.exit(1)
        except OSError as error:
            if error.errno not in FULL:
                _tell(traceback.format_exc(), stream)
                raise
            _tell(f"error: {_no_space(error.filename or f'{log}, or another file of this job')}", stream)
            sys.exit(1)
        except BaseException:
            _tell(traceback.format_exc(), stream)
            raise


@contextlib.contextmanager
def _opened(log: str) -> Iterator[TextIO]:
    """The log, open for writing. Where the disk is full, one line to the terminal and exit status 1."""
    try:
        Path(log).parent.mkdir(parents=True, exist_ok=True)
        stream = open(log, "w", encoding="utf-8")  # noqa: SIM115
    except OSError as error:
        if error.errno not in FULL:
            raise
        print(f"error: {_no_space(log)}", file=sys.__stderr__)
        sys.exit(1)
    try:
        yield stream
    finally:
        with contextlib.suppress(OSError):  # what it still held was printed to the terminal
            stream.close()


def _no_space(what: str) -> str:
    return f"{what}: no space is left; what was finished stays. Free some space (or raise the quota) and start again"


def _tell(text: str, stream: TextIO) -> None:
    """Write to the log, or where its disk is full to the terminal."""
    try:
        print(text.rstrip("\n"), file=stream, flush=True)
    except OSError:
        print(text.rstrip("\n"), file=sys.__stderr__, flush=True)


def fix_threads(threads: int) -> None:
    """Give torch exactly ``threads`` threads: the order of its sums, and so the last bits, depend on it."""
    import torch

    torch.set_num_threads(threads)
    if torch.cuda.is_available():
        torch.backends.cuda.matmul.allow_tf32 = False
