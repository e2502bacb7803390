"""Run a command whose Python jobs start warm: ``langneurons warm snakemake --profile profiles/demo``.

Importing torch and transformers costs several seconds, and every job of the workflow is a process of its
own. For a few hundred tiny jobs on a laptop that is most of the time. This process imports those libraries
once, runs the command, and forks itself for each job that asks; what is imported beforehand is third-party
code alone, so a job reads the workflow's own code fresh. The results are those of a plain run: without this
wrapper the same jobs start cold. A job's Snakemake benchmark then sees only the waiting client.

Each job is a connection to a Unix socket that holds one request: the script's path, with the client's
standard output and error. The answer is the exit status, or that the job must start cold. A client that goes away
has its job killed, and this process takes its jobs with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path

from langneurons.runner.environment import prepare_environment
from langneurons.runner.processes import WARM_JOB

SOCKET = "LANGNEURONS_WARM"
COLD = b"cold"  # the answer where no child can be made
_PR_SET_PDEATHSIG = 1  # prctl.h
PRELOADED = (
    "numpy",
    "numba",
    "pandas",
    "pyarrow.parquet",
    "torch",
    "transformers.models.llama.modeling_llama",
    "transformers.models.mistral.modeling_mistral",
    "peft",
    "transformers.trainer",
    "datasets",
    "altair",
    "scipy.stats",
)


def run_warm(script: str) -> int | None:
    """Have the waiting process run ``script``; its exit status, or None where no warm process is offered."""
    address = os.environ.get(SOCKET)
    if not address:
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        request = json.dumps({"script": script, "directory": os.getcwd(), "environment": dict(os.environ)})
        message = len(request.encode()).to_bytes(8, "big")
        try:
            with _inside(address) as name:
                connection.connect(name)
        except (FileNotFoundError, ConnectionRefusedError):
            return None  # the process is gone: start cold
        try:
            socket.send_fds(connection, [message], [sys.stdout.fileno(), sys.stderr.fileno()])
            connection.sendall(request.encode())
            answer = connection.recv(8)
        except (BrokenPipeError, ConnectionResetError):
            answer = b""
    if answer == COLD:
        return None
    if not answer:  # the job was killed together with the process that ran it
        print(f"error: {script}: the process that starts jobs warm was killed, and the job with it", file=sys.stderr)
    return int(answer or 1)


@contextlib.contextmanager
def _inside(address: str) -> Iterator[str]:
    """The socket's name from inside its directory: a socket's path may have 107 bytes, a directory's many more."""
    before = os.open(".", os.O_RDONLY)
    try:
        os.chdir(os.path.dirname(address))
        yield os.path.basename(address)
    finally:
        os.fchdir(before)
        os.close(before)


def main(command: list[str]) -> int:
    """Run ``command`` and serve its jobs until it ends; returns its exit status."""
    if command in (["-h"], ["--help"]):
        print("usage: langneurons warm COMMAND [ARGUMENT ...]\n\nRun a command whose Python jobs start warm.")
        return 0
    if not command or shutil.which(command[0]) is None:
        what = f"error: {command[0]}: command not found; " if command else ""
        print(f"{what}usage: langneurons warm COMMAND [ARGUMENT ...]", file=sys.stderr)
        return 127 if command else 2
    environment = dict(os.environ)  # the command's own: what it downloads is not offline
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
    prepare_environment(network=False)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        try:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            address = os.path.join(folder, "jobs")
            with _inside(address) as name:
                server.bind(name)
        except OSError as error:
            print(f"Jobs start cold: no socket can be made for them below TMPDIR ({error})", file=sys.stderr)
            return _code(subprocess.run(command, env=environment, check=False).returncode)
        server.listen(256)
        process = subprocess.Popen(command, env=environment | {SOCKET: address})
        # A scheduler's or a person's request to stop is the command's to answer: it stops its jobs itself.
        signal.signal(signal.SIGTERM, lambda number, frame: process.send_signal(number))
        signal.signal(signal.SIGINT, lambda number, frame: process.send_signal(number))
        try:
            gc.disable()
            with _leaving_early(process, folder):
                for module in PRELOADED:
                    importlib.import_module(module)
            gc.freeze()
            _serve(server, process)
        except BaseException:
            process.terminate()
            raise
        finally:
            status = process.wait()
        return _code(status)


def _code(status: int) -> int:
    """A process's status as a shell reports it: 128 and its number for a signal."""
    return status if status >= 0 else 128 - status


@contextlib.contextmanager
def _leaving_early(process: subprocess.Popen, folder: str) -> Iterator[None]:
    """While importing: end with the command at once if it ends first, as where nothing is left to do."""
    imported = threading.Event()

    def watch() -> None:
        while not imported.wait(0.05):
            if process.poll() is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os._exit(_code(process.returncode))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        imported.set()
        watcher.join()  # a process that forks has one thread


def _serve(server: socket.socket, process: subprocess.Popen) -> None:
    """Fork a child for each connection; tell each client its child's status."""
    selector = selectors.DefaultSelector()
    selector.register(server, selectors.EVENT_READ)
    jobs: dict[int, socket.socket] = {}
    while process.poll() is None or jobs:
        for key, _ in selector.select(timeout=0.02):
            if key.fileobj is server:
                connection, _ = server.accept()
                pid = _fork(server, connection)
                if pid is None:
                    connection.close()
                    continue
                jobs[pid] = connection
                selector.register(connection, selectors.EVENT_READ, pid)
            else:  # a client says nothing after its request: it is gone
                selector.unregister(key.fileobj)
                os.kill(key.data, signal.SIGKILL)
        for pid in list(jobs):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                connection = jobs.pop(pid)
                if connection.fileno() in selector.get_map():
                    selector.unregister(connection)
                code = os.waitstatus_to_exitcode(status)
                with contextlib.suppress(OSError):  # the client is gone: nobody waits for the status
                    connection.sendall(str(code if code >= 0 else 128 - code).encode())
                connection.close()


def _fork(server: socket.socket, connection: socket.socket) -> int | None:
    """The pid of a child that runs what a client asks for; None if there is none, as where the client went away."""
    descriptors: list[int] = []
    try:
        message, descriptors, _, _ = socket.recv_fds(connection, 8, 2)
        size, parts = int.from_bytes(message, "big"), b""
        while len(parts) < size and (part := connection.recv(size - len(parts))):
            parts += part
        if len(descriptors) < 2 or not size or len(parts) < size:
            return None
        own = os.getpid()
        try:
            pid = os.fork()
        except OSError:  # no memory, or too many processes: a cold start says which, if it fails too
            with contextlib.suppress(OSError):
                connection.sendall(COLD)
            return None
        if pid == 0:
            _child(server, connection, descriptors, parts, own)
        return pid
    except OSError:  # the client was killed while it asked
        return None
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _child(
    server: socket.socket, connection: socket.socket, descriptors: list[int], request: bytes, parent: int
) -> None:
    """In the child: run what was asked for and end. Nothing returns or is raised from here into the server's code."""
    code = 1
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.dup2(descriptors[0], 1)
        os.dup2(descriptors[1], 2)
        server.close()
        connection.close()
        asked = json.loads(request)
        _make_known(asked["script"], parent)
        code = _run(asked)
    except BaseException:
        _print_exception()
    finally:
        os._exit(code)


def _make_known(script: str, parent: int) -> None:
    """End with the parent, where the system can do that; have a name that says what runs here."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before it was asked for
        os._exit(1)
    # Snakemake's copy of a script is named tmp….NAME.py. Where there is no /proc, the job has its parent's name.
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(WARM_JOB + Path(script).stem.rpartition(".")[2], encoding="utf-8")


def _run(request: dict) -> int:
    """In the child: the script as ``python script`` would run it; its exit status."""
    import runpy

    code = 0
    try:
        os.chdir(request["directory"])
        os.environ.clear()
        os.environ.update(request["environment"])
        os.environ.pop(SOCKET, None)  # the job itself runs here, not once more elsewhere
        sys.argv = [request["script"]]
        runpy.run_path(request["script"], run_name="__main__")
    except SystemExit as stop:
        code = _exit_status(stop.code)
    except KeyboardInterrupt:
        _print_exception()
        code = 128 + signal.SIGINT
    except BaseException:
        _print_exception()
        code = 1
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # what was printed is lost: Python itself ends with 120 then
            code = code or 120
    return code


def _exit_status(code: object) -> int:
    """What the system sees of ``sys.exit(code)``."""
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF if -(1 << 31) <= code < 1 << 31 else 0xFF
    print(code, file=sys.stderr)
    return 1


def _print_exception() -> None:
    """Print the exception that is being handled; where even that fails, the exit status alone shows it."""
    with contextlib.suppress(BaseException):
        traceback.print_exc()
