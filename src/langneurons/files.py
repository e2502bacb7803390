"""Files and directories that appear whole or not at all, under a temporary name of each writer's own."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)
ENDING = ".partial"


class DiskFull(OSError):
    """No space is left where a file was to be written, or the user's quota is used up."""


@contextmanager
def write_atomically(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a path beside ``path`` to write to; rename it on success, delete it on an exception.

    The temporary name is this writer's own: two jobs that write the same file cannot mix their bytes. DiskFull, naming
    ``path``, if no space is left.
    """
    target = Path(path)
    with telling_of_a_full_disk(target, "it", "what was there before stays"):
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = _own_name(target)
        try:
            yield partial
            os.replace(partial, target)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def write_directory_atomically(path: str | os.PathLike, what: str = "it", kept: str = "") -> Iterator[Path]:
    """Yield a new directory beside ``path`` to write into; on success it takes the place of what ``path`` held.

    As ``write_atomically`` otherwise. ``what`` and ``kept`` complete the message of DiskFull.
    """
    target = Path(path)
    with telling_of_a_full_disk(target, what, kept or "what was there before stays"):
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = _own_name(target)
        replaced = partial.with_suffix(".replaced" + ENDING)
        try:
            partial.mkdir()
            yield partial
            with contextlib.suppress(FileNotFoundError):
                os.rename(target, replaced)
            os.rename(partial, target)
        finally:
            for leftover in (partial, replaced):
                shutil.rmtree(leftover, ignore_errors=True)


def _own_name(target: Path) -> Path:
    """A temporary name that no other writer has; what killed writers on this machine left of ``target`` is removed."""
    host = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
    stem = target.name[:180]  # names have at most 255 bytes
    pattern = re.compile(re.escape(f"{stem}.{host}-") + r"(\d+)-[0-9a-f]{8}(\.replaced)?" + re.escape(ENDING))
    for leftover in target.parent.iterdir():
        found = pattern.fullmatch(leftover.name)
        if found and int(found[1]) != os.getpid() and not _alive(int(found[1])):
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink(missing_ok=True)
    return target.with_name(f"{stem}.{host}-{os.getpid()}-{secrets.token_hex(4)}{ENDING}")


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


@contextmanager
def telling_of_a_full_disk(target: str | os.PathLike, what: str, kept: str) -> Iterator[None]:
    """Turn a write that failed for want of space into a ``DiskFull`` that says ``what`` was lost and what is ``kept``.

    The libraries that write weights raise errors of their own without a number, so the disk itself is asked too.
    """
    try:
        yield
    except DiskFull:
        raise
    except Exception as error:
        if not _disk_is_full(error, Path(target)):
            raise
        raise DiskFull(
            f"{target}: no space is left to write {what}; {kept}. Free some space (or raise the quota) and start again"
        ) from error


def _disk_is_full(error: BaseException, target: Path) -> bool:
    if (isinstance(error, OSError) and error.errno in FULL) or "No space left on device" in str(error):
        return True
    if not isinstance(error, (OSError, RuntimeError)) and type(error).__name__ != "SafetensorError":
        return False
    probe = next(path for path in (target, *target.parents) if path.is_dir()) / f".space-{secrets.token_hex(4)}"
    try:
        with probe.open("wb", buffering=0) as file:
            file.write(bytes(1 << 20))
    except OSError as refused:
        return refused.errno in FULL
    finally:
        probe.unlink(missing_ok=True)
    return False
