"""Files of the Hub: resumed where a download was cut off, and verified against the digests that the Hub itself lists.

huggingface_hub makes the requests' headers and addresses. Its own downloads are not used: in the pinned
version a partial file has a name of its process's own and is deleted when the process fails, so that nothing is
resumed by the next, and of a finished file only the size is checked.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from langneurons.artifacts.locks import hold
from langneurons.files import FULL, write_atomically
from langneurons.hub.errors import api, check_settings
from langneurons.hub.requests import Retries, answered, pages, timeout
from langneurons.progress import Progress

ATTEMPTS = 3  # to get a file whose digest is right
CHUNK = 1 << 20  # bytes


@dataclass(frozen=True)
class Repository:
    """A repository at a commit; ``kind`` is "model" or "dataset"."""

    kind: str
    name: str
    revision: str

    def __str__(self) -> str:
        return f"{self.name}@{self.revision}"


@dataclass(frozen=True)
class RemoteFile:
    """A file as the Hub lists it: ``digest`` is the SHA-256 of a large file (LFS), of others git's id of a blob."""

    path: str
    size: int
    digest: str


@dataclass(frozen=True)
class Fetched:
    """A file that was fetched, for the manifest."""

    repository: Repository
    path: str
    size: int
    sha256: str


def list_files(repository: Repository, folder: str | None = None) -> list[RemoteFile]:
    """The files of a folder (None: the repository's own), by path; no folder within it.

    The Hub's own errors pass (:func:`langneurons.hub.errors.hub_faults` explains them). ValueError where what answers
    is no listing, or one that lacks a path, size or checksum, or names a path outside the folder.
    """
    url = api(repository.kind, repository.name, "tree", repository.revision, folder)
    listed = [entry for page in pages(f"{url}?recursive=false&expand=false", str(repository)) for entry in page]
    files = [
        _listed(entry, repository, folder) for entry in listed if entry.get("type") not in ("directory", "submodule")
    ]
    return sorted(files, key=lambda file: file.path)


def _listed(entry: dict, repository: Repository, folder: str | None) -> RemoteFile:
    """A file of a listing; ValueError where the listing lacks what a download needs, or names a path elsewhere."""
    path, size, large = entry.get("path"), entry.get("size"), entry.get("lfs")
    digest = large.get("oid") if isinstance(large, dict) else entry.get("oid")
    length = 64 if large else 40
    if not isinstance(path, str) or not path:
        raise ValueError(f"{repository}: the Hub lists a file without its path; try again later")
    if Path(path).parent != Path(folder or "") or Path(path).name in ("", ".", "..") or "\0" in path:
        raise ValueError(f"{repository}: the Hub lists {path!r}, which is not a file in {folder or 'the repository'}")
    if type(size) is not int or size < 0:
        raise ValueError(f"{repository}: the Hub lists {path} without its size; try again later")
    if not isinstance(digest, str) or not re.fullmatch(rf"[0-9a-f]{{{length}}}", digest):
        raise ValueError(f"{repository}: the Hub lists {path} without its checksum; try again later")
    return RemoteFile(path, size, digest)


def check_space(folder: str | os.PathLike, size: int, what: str) -> None:
    """ValueError, with what is needed and what is free, if the disk of ``folder`` has less than ``size`` bytes."""
    free = shutil.disk_usage(folder).free
    if free < size:
        raise ValueError(
            f"{what} needs {gigabytes(size)}, and the disk of {folder} has {gigabytes(free)} free; make room there, "
            "or write another directory as resources"
        )


def gigabytes(size: int) -> str:
    return f"{size / 1e9:,.2f} GB" if size >= 10_000_000 else f"{size:,} bytes"


def tell(line: str) -> None:
    """Print a line to a job's log and, where they differ, to the terminal."""
    print(line, flush=True)
    if sys.stdout is not sys.__stdout__ and sys.__stderr__ is not None:
        print(line, file=sys.__stderr__, flush=True)


def fetch_all(repository: Repository, files: Iterable[RemoteFile], folder: str | os.PathLike) -> list[Fetched]:
    """Fetch files into ``folder``, under their names without their folders, after telling their size.

    What ``folder`` already holds of them, whole or in part, is kept and checked again; other files there are deleted
    at the end. ValueError where the disk has too little room, and as :func:`fetch`.
    """
    files, folder = list(files), Path(folder)
    hold(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        _check_name(repository, file, folder)
    here = sum(_size(place) for file in files for place in (folder / _name(file), _partial(folder / _name(file), file)))
    total = sum(file.size for file in files)
    tell(f"{repository}: {len(files)} files, {gigabytes(total)}, of which {gigabytes(here)} are here")
    check_space(folder, total - here, str(repository))
    fetched = [Fetched(repository, f.path, f.size, fetch(repository, f, folder / _name(f))) for f in files]
    for other in {place.name for place in folder.iterdir()} - {_name(file) for file in files}:
        (folder / other).unlink()  # of another revision, or another file in this one's place
    return fetched


def fetch(repository: Repository, file: RemoteFile, target: str | os.PathLike) -> str:
    """Fetch a file to ``target``; its SHA-256. It appears there whole and with the digest listed, or not at all.

    Continues what an earlier call left beside ``target``. What comes with another digest is deleted and fetched
    again. What may pass (no connection, silence, 408, 429, 5xx) is tried again with growing waits, or as the Hub's
    Retry-After says, as long as bytes arrive and six times when none do; the Hub's other refusals pass at once.

    A part has one name for all processes, to be gone on with: this process holds the directory's lock from here to
    its end, as it goes on to read the files there.

    ValueError: ``ATTEMPTS`` times another digest; a full disk; another process that downloads into the directory.
    """
    target = Path(target)
    hold(target.parent)
    partial = _partial(target, file)
    for place in (target, partial):  # of an earlier call
        if _size(place) == file.size and place.is_file() and (sha256 := _checked(place, file)):
            os.replace(place, target)
            return sha256
        if place is target or _size(place) >= file.size:
            place.unlink(missing_ok=True)
    for attempt in range(1, ATTEMPTS + 1):
        _receive(repository, file, partial)
        if sha256 := _checked(partial, file):
            os.replace(partial, target)
            return sha256
        partial.unlink()
        tell(f"{repository}: {file.path} arrived with another digest, try {attempt} of {ATTEMPTS}; deleted")
    raise ValueError(
        f"{repository}: {file.path} arrived {ATTEMPTS} times with another digest than the Hub lists; "
        "look at what lies between (a proxy, the disk), then run again"
    )


def _check_name(repository: Repository, file: RemoteFile, folder: Path) -> None:
    try:
        _size(_partial(folder / _name(file), file))
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise ValueError(
            f"{repository}: the name {file.path[:60]}… has {len(os.fsencode(_name(file)))} bytes, more than {folder} "
            "takes in a file's name; the file cannot be stored"
        ) from None


def _name(file: RemoteFile) -> str:
    return file.path.rsplit("/", 1)[-1]


def _partial(target: Path, file: RemoteFile) -> Path:
    """Named by the digest, so that the parts of two versions are never put together."""
    return target.with_name(f"{target.name}.{file.digest[:16]}.partial")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _checked(path: Path, file: RemoteFile) -> str | None:
    """The SHA-256 of a file that has the size and digest listed, else None."""
    sha256, blob = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            sha256.update(chunk)
            if len(file.digest) == 40:
                blob.update(chunk)
        whole = stream.tell() == file.size
    found = blob if len(file.digest) == 40 else sha256
    return sha256.hexdigest() if whole and found.hexdigest() == file.digest else None


def _receive(repository: Repository, file: RemoteFile, partial: Path) -> None:
    """Bring ``partial`` to the size listed, from where it ends."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError

    partial.touch()
    most, retries = _size(partial), Retries(file.path)
    with Progress(file.size - most, "bytes", file.path) as done:
        while _size(partial) < file.size:
            error = None
            try:
                _append(repository, file, partial, done)
            except (httpx2.TransportError, HfHubHTTPError) as caught:
                error = caught
            except OSError as full:
                if full.errno not in FULL:
                    raise
                raise ValueError(
                    f"{partial.parent}: the disk is full after {_size(partial):,} of the {file.size:,} bytes of "
                    f"{file.path}; make room and run again: the download goes on from there"
                ) from None
            here = _size(partial)
            if here < file.size:
                retries.wait(error, brought=here > most)
            most = max(most, here)


def _append(repository: Repository, file: RemoteFile, partial: Path, done: Progress) -> None:
    """Add to ``partial`` what one request brings."""
    from huggingface_hub import get_session, hf_hub_url
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

    check_settings()
    begin = _size(partial)
    url = hf_hub_url(repository.name, file.path, repo_type=repository.kind, revision=repository.revision)
    # As it is stored: of a compressed answer neither ranges nor sizes would be the file's.
    headers = build_hf_headers() | {"Accept-Encoding": "identity"}
    if begin:
        headers["Range"] = f"bytes={begin}-"
    with get_session().stream("GET", url, headers=headers, timeout=timeout()) as response:
        span = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
        goes_on = response.status_code == 206 and span is not None and int(span[1]) == begin
        if response.status_code == 416 or (response.status_code == 206 and not goes_on):
            return os.truncate(partial, 0)  # not the part asked for: begin anew
        hf_raise_for_status(response)
        answered()
        with partial.open("ab" if goes_on else "wb") as stream:
            for chunk in response.iter_bytes():  # as they come: of larger pieces a cut would lose the last
                stream.write(chunk)
                done(len(chunk))
                if stream.tell() > file.size:
                    break  # the digest refuses it
            stream.flush()
            os.fsync(stream.fileno())


def write_manifest(path: str | os.PathLike, files: Iterable[Fetched]) -> None:
    """Write where an output comes from: a line per file of the Hub, with repository, revision, file, bytes, sha256."""
    rows = [(f.repository.name, f.repository.revision, f.path, str(f.size), f.sha256) for f in files]
    with write_atomically(path) as partial:
        lines = ["\t".join(row) for row in [("repository", "revision", "file", "bytes", "sha256"), *rows]]
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
