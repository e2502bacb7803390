"""A Hugging Face Hub on 127.0.0.1, for the real client: files, listings, redirects, refusals.

Serves directories as repositories of one commit each. Large files (by their ending) answer as the Hub's do:
a redirect to another origin, with the file's SHA-256 and size in headers, where no token may be sent.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
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
class Hub:
    """The repositories, the tokens of known accounts, and what was asked: (method, path, status)."""

    repositories: list[Repository]
    tokens: frozenset[str] = frozenset()
    requests: list[tuple[str, str, int]] = field(default_factory=list)

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
        """Paths of a repository's files that were asked for: the client asks for each file's address first."""
        found = [RESOLVE.match(path) for method, path, _ in self.requests if method == "HEAD"]
        return sorted({match["path"] for match in found if match and match["name"] == name})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.respond(unquote(urlsplit(self.path).path))

    do_HEAD = do_GET

    def log_message(self, *arguments) -> None:
        """Nothing on the test's output."""

    def send(self, status: int, headers: dict, body: bytes = b"", length: int | None = None) -> None:
        self.server.hub.requests.append((self.command, unquote(urlsplit(self.path).path), status))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_file(self, file: Path, headers: dict) -> None:
        body, asked = file.read_bytes(), re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        headers = {"Accept-Ranges": "bytes", **headers}
        if not asked:
            return self.send(200, headers, body)
        start, end = int(asked[1]), min(int(asked[2] or len(body) - 1), len(body) - 1)
        if start > end:
            return self.send(416, {**headers, "Content-Range": f"bytes */{len(body)}"})
        self.send(206, {**headers, "Content-Range": f"bytes {start}-{end}/{len(body)}"}, body[start : end + 1])


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
        if asked["revision"] != repository.revision:
            return self.refuse(404, "RevisionNotFound", f"Invalid rev id: {asked['revision']}")
        if "what" not in asked.groupdict():
            self.resolve(repository, asked["path"], token)
        elif asked["what"] == "revision":
            self.send_json(
                {"id": repository.name, "sha": repository.revision, "gated": "manual" * repository.gated or False}
            )
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
