"""The HTTP server that a deployment has beside Ironic: boot media, iPXE scripts and images.

Supports what boot firmware and agents use of it: ranges, ETag, HEAD. Records who asked for what.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

_RANGE = re.compile(r"bytes=(\d*)-(\d*)$")
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Fetch:
    """One request that the file server answered."""

    method: str
    path: str
    range: str | None
    status: int


class FileServer:
    """Serves one folder on a loopback port until closed."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.fetches: list[Fetch] = []
        owner = self

        class Handler(_Handler):
            server_owner = owner

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def fetched(self, path_part: str) -> list[Fetch]:
        """The requests whose path holds ``path_part``."""
        return [fetch for fetch in list(self.fetches) if path_part in fetch.path]

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """First and last byte of a single range, or None for the whole. Raises ValueError if it lies outside."""
    match = _RANGE.match(header or "")
    if not match or match.group(0) == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        start, end = max(0, size - int(last)), size - 1
    else:
        start, end = int(first), min(int(last), size - 1) if last else size - 1
    if start >= size or start > end:
        raise ValueError("range not satisfiable")
    return start, end


class _Handler(BaseHTTPRequestHandler):
    server_owner: FileServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._serve(body=True)

    def do_HEAD(self) -> None:
        self._serve(body=False)

    def _serve(self, body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        file = (self.server_owner.root / path.lstrip("/")).resolve()
        if not file.is_relative_to(self.server_owner.root) or not file.is_file():
            self._answer(HTTPStatus.NOT_FOUND, {"Content-Length": "0"})
            return
        stat = file.stat()
        etag = f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'
        headers = {
            "ETag": etag,
            # Ironic caches by this one.
            "Last-Modified": formatdate(stat.st_mtime, usegmt=True),
            "Accept-Ranges": "bytes",
            "Content-Type": "application/octet-stream",
        }
        if self.headers.get("If-None-Match") == etag:
            self._answer(HTTPStatus.NOT_MODIFIED, headers)
            return
        try:
            part = parse_range(self.headers.get("Range"), stat.st_size)
        except ValueError:
            headers["Content-Range"] = f"bytes */{stat.st_size}"
            headers["Content-Length"] = "0"
            self._answer(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers)
            return
        start, end = part or (0, stat.st_size - 1)
        headers["Content-Length"] = str(end - start + 1)
        if part:
            headers["Content-Range"] = f"bytes {start}-{end}/{stat.st_size}"
        self._answer(HTTPStatus.PARTIAL_CONTENT if part else HTTPStatus.OK, headers)
        if body:
            self._send(file, start, end - start + 1)

    def _send(self, file: Path, start: int, count: int) -> None:
        try:
            with file.open("rb") as source:
                source.seek(start)
                while count > 0 and (data := source.read(min(count, _CHUNK))):
                    self.wfile.write(data)
                    count -= len(data)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _answer(self, status: HTTPStatus, headers: dict[str, str]) -> None:
        self.server_owner.fetches.append(
            Fetch(self.command, self.path, self.headers.get("Range"), int(status))
        )
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: ``fetches`` holds the record."""
