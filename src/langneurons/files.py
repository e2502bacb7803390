"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)


class DiskFull(OSError):
    """No space is left where a file was to be written, or the user's quota is used up."""


@contextmanager
def write_atomically(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a path beside ``path`` to write to; rename it on success, delete it on an exception."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".partial")
    try:
        yield partial
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def telling_of_a_full_disk(target: str | os.PathLike, what: str, kept: str) -> Iterator[None]:
    """Turn a write that failed for want of space into a ``DiskFull`` that says ``what`` was lost and what is ``kept``.

    The libraries that write weights raise errors of their own without a number, so the disk itself is asked too.
    """
    try:
        yield
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
    probe = next(path for path in (target, *target.parents) if path.is_dir()) / ".space"
    try:
        with probe.open("wb", buffering=0) as file:
            file.write(bytes(1 << 20))
    except OSError as refused:
        return refused.errno in FULL
    finally:
        probe.unlink(missing_ok=True)
    return False
