"""One writer at a time, where a name is shared on purpose: a lock that vanishes with the process that holds it."""

from __future__ import annotations

import atexit
import errno
import fcntl
import os
import socket
from pathlib import Path

WITHOUT = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}  # a file system that has no locks
_held: dict[Path, int] = {}


def hold(place: str | os.PathLike) -> None:
    """Hold the lock of ``place``, the file ``.{place}.lock`` beside it, until this process ends.

    ValueError, naming the process, if another one holds it. What a killed process leaves of the file locks nothing. On
    a file system without locks one line says so.
    """
    place = Path(os.path.abspath(place))
    _hold(place.with_name(f".{place.name.removeprefix('.')}.lock"), f"{place}: HOLDER is downloading into it now")


def hold_directory(directory: str | os.PathLike) -> None:
    """Hold a run's directory of results or resources: two runs, of two configurations, would mix their files in it.

    The lock is ``.run.lock`` in the directory. ValueError as ``hold``.
    """
    place = Path(os.path.abspath(directory))
    _hold(place / ".run.lock", f"{place}: HOLDER is another run that writes into it now")


def _hold(path: Path, refusal: str) -> None:
    if path in _held and _is(path, _held[path]):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    _held[path] = _locked(path, refusal)
    atexit.register(_release, path, _held[path], os.getpid())


def _locked(path: Path, refusal: str) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip() or "another process"
            os.close(descriptor)
            reason = f"{refusal.replace('HOLDER', holder)}; let it end, or end it (make unlock END=1), and run again"
            raise ValueError(reason) from None
        except OSError as error:
            if error.errno not in WITHOUT:
                os.close(descriptor)
                raise
            print(f"{path}: this file system has no locks ({error.strerror}); start only one run at a time", flush=True)
        if _is(path, descriptor):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} of {socket.gethostname()}\n".encode(), 0)
            return descriptor
        os.close(descriptor)  # its last holder removed it meanwhile


def _release(path: Path, descriptor: int, process: int) -> None:
    if os.getpid() == process and _is(path, descriptor):
        path.unlink(missing_ok=True)  # before it is let go: who opened it meanwhile sees that it is gone
    os.close(descriptor)


def _is(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
