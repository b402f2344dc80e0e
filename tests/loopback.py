"""A hub and a plain file server on loopback, with the faults of real ones: cut connections, damaged files, silence."""

import hashlib
import json
import threading
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import constants

COMMIT = "5e1f" * 10
LARGE = 512
"""Bytes from which a file counts as a large one (LFS), whose digest is a SHA-256, as on the hub."""


def become_hub(patch: pytest.MonkeyPatch, url: str) -> None:
    """Let huggingface_hub, here and in processes that are started from here, ask this address and no other."""
    patch.setenv("HF_ENDPOINT", url)
    patch.setattr(constants, "ENDPOINT", url)
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")


def blob(data: bytes) -> str:
    """Git's name for a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


@dataclass
class Loopback:
    """What is served, how it misbehaves, and what was asked.

    Attributes:
        repos: data set repository -> path -> content.
        files: absolute path -> content, for plain addresses.
        cut: path of a file -> bytes after which the connection is dropped, once for each entry of the list.
        corrupt: files of which the last byte is sent wrong.
        gated: repositories that refuse.
        down: file paths that answer 503.
        stall: path of a file -> bytes after which nothing more comes; `stalled` is set then.
        ranges: whether the server can serve parts.
        asked: (method, path, Range header) of every request.
    """

    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    cut: dict[str, list[int]] = field(default_factory=dict)
    corrupt: set[str] = field(default_factory=set)
    gated: set[str] = field(default_factory=set)
    down: set[str] = field(default_factory=set)
    stall: dict[str, int] = field(default_factory=dict)
    stalled: threading.Event = field(default_factory=threading.Event)
    ranges: bool = True
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    url: str = ""

    def bodies(self) -> Counter[str]:
        """How often each file's content was asked for."""
        return Counter(path for method, path, _ in self.asked if method == "GET" and "/api/" not in path)

    def serve(self) -> ThreadingHTTPServer:
        """Start answering; `url` says where."""
        state = self

        class Handler(_Handler):
            hub = state

        server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return server


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that were killed on purpose."""


class _Handler(BaseHTTPRequestHandler):
    hub: Loopback
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append((self.command, path, self.headers.get("Range", "")))
        if path.startswith("/api/datasets/"):
            self._api(path.removeprefix("/api/datasets/"))
        elif path.startswith("/datasets/") and "/resolve/" in path:
            repo, rest = path.removeprefix("/datasets/").split("/resolve/")
            name = rest.partition("/")[2]
            self._file(name, self.hub.repos.get(repo, {}).get(name), repo)
        else:
            self._file(path, self.hub.files.get(path))

    def _api(self, path: str) -> None:
        owner, name, *rest = path.split("/")
        repo = f"{owner}/{name}"
        if repo in self.hub.gated:
            return self._error(403, "GatedRepo", f"Access to dataset {repo} is restricted.")
        if repo not in self.hub.repos:
            return self._error(401, "RepoNotFound", "Repository not found")
        if rest[:1] == ["tree"]:
            return self._json([self._entry(*item) for item in sorted(self.hub.repos[repo].items())])
        siblings = [{"rfilename": name} for name in sorted(self.hub.repos[repo])]
        return self._json({"id": repo, "sha": COMMIT, "private": False, "tags": [], "siblings": siblings})

    @staticmethod
    def _entry(name: str, data: bytes) -> dict[str, object]:
        entry: dict[str, object] = {"type": "file", "oid": blob(data), "size": len(data), "path": name}
        if len(data) >= LARGE:
            entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
        return entry

    def _file(self, name: str, data: bytes | None, repo: str = "") -> None:
        if data is None:
            return self._error(404, "EntryNotFound", "Entry not found")
        if name in self.hub.down:
            return self._error(503, "", "down for maintenance")
        whole, etag = len(data), hashlib.sha256(data).hexdigest() if len(data) >= LARGE else blob(data)
        if name in self.hub.corrupt:
            data = data[:-1] + bytes([data[-1] ^ 1])
        start = 0
        if self.hub.ranges and (wanted := self.headers.get("Range", "")):
            start = int(wanted.removeprefix("bytes=").split("-")[0])
            if start >= whole:
                return self._error(416, "", "range not satisfiable")
        self.send_response(206 if start else 200)
        self.send_header("ETag", f'"{etag}"')
        self.send_header("Content-Length", str(whole - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
        if repo:
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("X-Linked-Etag", f'"{etag}"')
            self.send_header("X-Linked-Size", str(whole))
        self.end_headers()
        if self.command == "HEAD":
            return None
        if name in self.hub.stall:
            self.wfile.write(data[start : start + self.hub.stall[name]])
            self.wfile.flush()
            self.hub.stalled.set()
            self.rfile.read(1)  # until the other side goes
            self.close_connection = True
            return None
        cuts = self.hub.cut.get(name, [])
        if cuts:
            self.wfile.write(data[start : start + cuts.pop(0)])
            self.close_connection = True
        else:
            self.wfile.write(data[start:])
        return None

    def _json(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _error(self, code: int, kind: str, message: str) -> None:
        self.send_response(code)
        if kind:
            self.send_header("X-Error-Code", kind)
        self.send_header("X-Error-Message", message)
        self.send_header("Content-Length", "0")
        self.end_headers()
