"""A Hugging Face Hub on 127.0.0.1, for the real client: files, listings, redirects, refusals, faults.

Serves directories as repositories of one commit each. Large files (by their ending) answer as the Hub's do:
a redirect to another origin, with the file's SHA-256 and size in headers, where no token may be sent.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import threading
import time
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

LARGE = (".safetensors", ".bin", ".pth", ".parquet")
RESOLVE = re.compile(r"^/(?P<kind>datasets/)?(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)$")
API = re.compile(
    r"^/api/(?P<kind>models|datasets)/(?P<name>[^/]+/[^/]+)/(?P<what>tree|revision)/(?P<revision>[^/]+)(?:/(?P<path>.+))?$"
)


@dataclass(frozen=True)
class Repository:
    """Files below ``folder`` at one ``revision``; of a gated one, only those with a token of ``admitted``."""

    kind: str  # "models" or "datasets"
    name: str
    revision: str
    folder: Path
    gated: bool = False
    admitted: frozenset[str] = frozenset()


@dataclass
class Fault:
    """What goes wrong with the next ``times`` answers for a file of the name ``file``.

    Or for a listing ("tree"), or for what is asked of a commit ("revision").
    """

    file: str
    times: int = 1
    status: int = 0  # the Hub answers this instead, with ``headers``
    headers: dict = field(default_factory=dict)
    body: bytes = b""  # of the answer with ``status``
    drop: int | None = None  # the connection ends before this byte of the file
    wrong: int | None = None  # this byte of the file is another
    whole: bool = False  # the whole file, whatever part was asked for
    pause: float = 0.0  # seconds before each ``piece`` of bytes
    piece: int = 1 << 14


@dataclass
class Hub:
    """The repositories, the tokens of known accounts, and what was asked: (method, path, status).

    ``authorized``: the endpoint and path of each request that came with a token. ``parts``: of each answer with a
    file's bytes, the file's name and the part asked for (None: all). ``faults``: what goes wrong, in order.
    """

    repositories: list[Repository]
    tokens: frozenset[str] = frozenset()
    requests: list[tuple[str, str, int]] = field(default_factory=list)
    authorized: list[tuple[str, str]] = field(default_factory=list)
    parts: list[tuple[str, str | None]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def __enter__(self) -> Hub:
        self.blobs = {
            hashlib.sha256(file.read_bytes()).hexdigest(): file
            for repository in self.repositories
            for file in repository.folder.rglob("*")
            if file.suffix in LARGE
        }
        self._servers = []
        for handler in (_Storage, _Site):
            server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
            server.hub, server.daemon_threads = self, True
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
            self._servers.append(server)
        self.storage, self.endpoint = (f"http://127.0.0.1:{server.server_port}" for server in self._servers)
        return self

    def __exit__(self, *error) -> None:
        self.stop()

    def stop(self) -> None:
        """Refuse connections from now on."""
        while self._servers:
            server = self._servers.pop()
            server.shutdown()
            server.server_close()

    def asked_for(self, name: str) -> list[str]:
        """Paths of a repository's files that were asked for, each time."""
        found = [RESOLVE.match(path) for _, path, _ in self.requests]
        return sorted(match["path"] for match in found if match and match["name"] == name)

    def fault(self, file: Path, status: bool) -> Fault:
        """The fault that is due for a file, of those with a status or of the others; if none is, one of nothing."""
        for fault in self.faults:
            if fault.file == file.name and fault.times > 0 and bool(fault.status) == status:
                fault.times -= 1
                return fault
        return Fault(file.name)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if "Authorization" in self.headers:
            self.server.hub.authorized.append((f"http://127.0.0.1:{self.server.server_port}", self.path))
        self.respond(unquote(urlsplit(self.path).path))

    do_HEAD = do_GET

    def log_message(self, *arguments) -> None:
        """Nothing on the test's output."""

    def send(self, status: int, headers: dict, body: bytes = b"", fault: Fault | None = None) -> None:
        self.server.hub.requests.append((self.command, unquote(urlsplit(self.path).path), status))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault is None:
            self.wfile.write(body)
            return
        sent = body if fault.drop is None else body[: fault.drop]
        try:
            for start in range(0, len(sent), fault.piece):
                time.sleep(fault.pause)
                self.wfile.write(sent[start : start + fault.piece])
            if len(sent) < len(body):
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:  # the client has gone
            self.close_connection = True

    def send_file(self, file: Path, headers: dict) -> None:
        body, part = file.read_bytes(), self.headers.get("Range")
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", part or "")
        self.server.hub.parts.append((file.name, part))
        fault = self.server.hub.fault(file, status=False)
        if fault.wrong is not None:
            body = body[: fault.wrong] + bytes([body[fault.wrong] ^ 1]) + body[fault.wrong + 1 :]
        headers = {"Accept-Ranges": "bytes", **headers}
        if not asked or fault.whole:
            return self.send(200, headers, body, fault)
        start, end = int(asked[1]), min(int(asked[2] or len(body) - 1), len(body) - 1)
        if start > end:
            return self.send(416, {**headers, "Content-Range": f"bytes */{len(body)}"})
        if fault.drop is not None:
            fault = replace(fault, drop=max(0, fault.drop - start))
        self.send(206, {**headers, "Content-Range": f"bytes {start}-{end}/{len(body)}"}, body[start : end + 1], fault)


class _Storage(_Handler):
    """Where large files lie: signed addresses, which refuse an authorization header beside the signature."""

    def respond(self, path: str) -> None:
        if "Authorization" in self.headers:
            return self.send(400, {})
        self.send_file(self.server.hub.blobs[path[1:]], {"ETag": f'"{path[1:]}"'})


class _Site(_Handler):
    """The Hub itself."""

    def refuse(self, status: int, code: str, message: str) -> None:
        headers = {"X-Error-Message": message, "Content-Type": "application/json"} | (
            {"X-Error-Code": code} if code else {}
        )
        self.send(status, headers, json.dumps({"error": message}).encode())

    def respond(self, path: str) -> None:
        hub = self.server.hub
        asked = API.match(path) or RESOLVE.match(path)
        if not asked:
            return self.refuse(404, "", "Sorry, we can't find the page you are looking for.")
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token and token not in hub.tokens:
            return self.refuse(401, "", "Invalid credentials in Authorization header")
        kind = (asked["kind"] or "models").strip("/")
        found = [r for r in hub.repositories if (r.kind, r.name) == (kind, asked["name"])]
        if not found:
            status, message = (404, "Repository not found") if token else (401, "Invalid username or password.")
            return self.refuse(status, "RepoNotFound", message)
        (repository,) = found
        branch = asked["revision"] == "main" and asked.groupdict().get("what") == "revision"
        if asked["revision"] != repository.revision and not branch:
            return self.refuse(404, "RevisionNotFound", f"Invalid rev id: {asked['revision']}")
        if "what" not in asked.groupdict():
            self.resolve(repository, asked["path"], token)
        elif asked["what"] == "revision" and (fault := hub.fault(Path("revision"), status=True)).status:
            self.send(fault.status, fault.headers, fault.body)
        elif asked["what"] == "revision":
            self.send_json(
                {"id": repository.name, "sha": repository.revision, "gated": "manual" * repository.gated or False}
            )
        elif (fault := hub.fault(Path("tree"), status=True)).status:
            self.send(fault.status, fault.headers, fault.body)
        else:
            self.tree(repository, asked["path"] or "")

    def send_json(self, content: object) -> None:
        self.send(200, {"Content-Type": "application/json"}, json.dumps(content).encode())

    def resolve(self, repository: Repository, path: str, token: str) -> None:
        if repository.gated and token not in repository.admitted:  # the listing of a gated repository is public
            message = f"Access to model {repository.name} is restricted."
            return self.refuse(403 if token else 401, "GatedRepo", message)
        file = repository.folder / path
        commit = {"X-Repo-Commit": repository.revision}
        if not file.is_file():
            return self.refuse(404, "EntryNotFound", "Entry not found")
        if (fault := self.server.hub.fault(file, status=True)).status:
            return self.send(fault.status, fault.headers, fault.body)
        if file.suffix not in LARGE:
            return self.send_file(file, {**commit, "ETag": f'"{_blob(file)}"'})
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        linked = {"X-Linked-Size": file.stat().st_size, "X-Linked-ETag": f'"{digest}"'}
        self.send(302, {**commit, **linked, "Location": f"{self.server.hub.storage}/{digest}"})

    def tree(self, repository: Repository, path: str) -> None:
        folder = repository.folder / path
        if not folder.is_dir():
            return self.refuse(404, "EntryNotFound", f"{path} does not exist on {repository.revision}")
        recursive = parse_qs(urlsplit(self.path).query).get("recursive", ["false"])[0].lower() in ("true", "1")
        entries = []
        for file in sorted(folder.rglob("*") if recursive else folder.iterdir()):
            place = file.relative_to(repository.folder).as_posix()
            if file.is_dir():
                entries.append(
                    {"type": "directory", "oid": hashlib.sha1(place.encode()).hexdigest(), "size": 0, "path": place}
                )
                continue
            entry = {"type": "file", "oid": _blob(file), "size": file.stat().st_size, "path": place}
            if file.suffix in LARGE:
                digest = hashlib.sha256(file.read_bytes()).hexdigest()
                entry["lfs"] = {"oid": digest, "size": entry["size"], "pointerSize": 130}
            entries.append(entry)
        self.send_json(entries)


def _blob(file: Path) -> str:
    """Git's id of a file."""
    content = file.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
