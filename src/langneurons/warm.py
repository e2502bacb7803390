"""Run a command whose Python jobs start warm: ``python -m langneurons.warm snakemake --profile profiles/demo``.

Importing torch and transformers costs several seconds, and every job of the workflow is a process of its
own. For a few hundred tiny jobs on a laptop that is most of the time. This process imports those libraries
once, runs the command, and forks itself for each job that asks; what is imported beforehand is third-party
code alone, so a job reads the workflow's own code fresh. The results are those of a plain run: without this
wrapper the same jobs start cold. A job's Snakemake benchmark then sees only the waiting client.

Each job is a connection to a Unix socket that holds one request: the script's path, with the client's
standard output and error. The answer is the exit status. A client that goes away has its job killed.
"""

from __future__ import annotations

import contextlib
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

SOCKET = "LANGNEURONS_WARM"
PRELOADED = (
    "numpy",
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
        try:
            connection.connect(address)
        except (FileNotFoundError, ConnectionRefusedError):
            return None  # the process is gone: start cold
        request = json.dumps({"script": script, "directory": os.getcwd(), "environment": dict(os.environ)})
        message = len(request.encode()).to_bytes(8, "big")
        socket.send_fds(connection, [message], [sys.stdout.fileno(), sys.stderr.fileno()])
        connection.sendall(request.encode())
        answer = connection.recv(8)
    # An empty answer: the job was killed together with the process that ran it.
    return int(answer) if answer else 1


def main(command: list[str]) -> int:
    """Run ``command`` and serve its jobs until it ends; returns its exit status."""
    environment = dict(os.environ)  # the command's own: what it downloads is not offline
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
    from langneurons.jobs import prepare_environment

    prepare_environment(network=False)
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        address = os.path.join(folder, "jobs")
        server.bind(address)
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
    """A process's status as a shell tells it: 128 and its number for a signal."""
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
                with contextlib.suppress(BrokenPipeError):  # the client is gone: nobody waits for the status
                    connection.sendall(str(code if code >= 0 else 128 - code).encode())
                connection.close()


def _fork(server: socket.socket, connection: socket.socket) -> int | None:
    """The pid of a child that runs what a client asks for; None if the client went away while asking."""
    message, descriptors, _, _ = socket.recv_fds(connection, 8, 2)
    size, parts = int.from_bytes(message, "big"), b""
    while len(parts) < size and (part := connection.recv(size - len(parts))):
        parts += part
    if not size or len(parts) < size:
        for descriptor in descriptors:
            os.close(descriptor)
        return None
    pid = os.fork()
    if pid:
        for descriptor in descriptors:
            os.close(descriptor)
        return pid
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    server.close()
    connection.close()
    os.dup2(descriptors[0], 1)
    os.dup2(descriptors[1], 2)
    os._exit(_run(json.loads(parts)))


def _run(request: dict) -> int:
    """In the child: the script as ``python script`` would run it."""
    import runpy

    code = 0
    os.chdir(request["directory"])
    os.environ.clear()
    os.environ.update(request["environment"])
    os.environ.pop(SOCKET)  # the job itself runs here, not once more elsewhere
    sys.argv = [request["script"]]
    try:
        runpy.run_path(request["script"], run_name="__main__")
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
