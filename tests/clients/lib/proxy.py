"""An HTTP proxy that a test puts in front of Ironic or of the BMCs, to make a healthy server look ill.

It passes everything on untouched unless the test's rule answers itself, spoils the answer or cuts the line.
"""

from __future__ import annotations

import http.client
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "content-length"}


@dataclass(frozen=True)
class Request:
    """What a client sent."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What it gets back."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    def with_body(self, body: bytes) -> Answer:
        return replace(self, body=body)


class Cut(Exception):
    """Raised by a rule: close the connection without an answer."""


class Hang(Exception):
    """Raised by a rule: say nothing until the proxy is healed or closed, then close the connection."""


Forward = Callable[[], Answer]
Rule = Callable[[Request, Forward], Answer]


def pass_on(_: Request, forward: Forward) -> Answer:
    """The rule of a healthy server."""
    return forward()


class Proxy:
    """Listens on a loopback port; ``rule`` may be changed at any time."""

    def __init__(self, target: str, rule: Rule = pass_on) -> None:
        self.target = urlsplit(target)
        self._rule = rule
        self._healed = threading.Event()
        self._lock = threading.Lock()
        self.requests: list[Request] = []
        owner = self

        class Handler(_Handler):
            proxy = owner

        self._http = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)
        self._thread.start()

    healthy: Rule = staticmethod(pass_on)

    def connect(self, target: str) -> None:
        """Stand in front of another server: for tests that need the proxy's address to start that server."""
        self.target = urlsplit(target)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    @property
    def rule(self) -> Rule:
        return self._rule

    @rule.setter
    def rule(self, rule: Rule) -> None:
        """From now on; whoever hangs under the old rule is let go."""
        with self._lock:
            self._rule = rule
            self._healed.set()
            self._healed = threading.Event()

    def healed(self) -> threading.Event:
        with self._lock:
            return self._healed

    def count(self, path_part: str) -> int:
        """How many requests with this in their path came in so far."""
        return sum(path_part in request.path for request in list(self.requests))

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._healed.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: clients that hang up are part of the game."""


class _Handler(BaseHTTPRequestHandler):
    proxy: Proxy
    protocol_version = "HTTP/1.1"

    def _handle(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        request = Request(self.command, self.path, dict(self.headers.items()), self.rfile.read(length))
        self.proxy.requests.append(request)
        healed = self.proxy.healed()
        try:
            answer = self.proxy.rule(request, lambda: self._forward(request))
        except Hang:
            healed.wait()
            self._cut()
            return
        except Cut:
            self._cut()
            return
        except (OSError, http.client.HTTPException):
            # The server behind is not there: the client shall see just that.
            self._cut()
            return
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        if answer.status not in (204, 304):
            self.send_header("Content-Length", str(len(answer.body)))
        if self.headers.get("Connection", "").lower() == "close":
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _handle

    def _forward(self, request: Request) -> Answer:
        target = self.proxy.target
        line = http.client.HTTPConnection(target.netloc, timeout=120)
        try:
            headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP_BY_HOP}
            line.request(request.method, request.path, request.body or None, headers)
            answer = line.getresponse()
            return Answer(answer.status, answer.read(), dict(answer.getheaders()))
        finally:
            line.close()

    def _cut(self) -> None:
        """Reset, so that the client does not take it for a polite end."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.wfile.close()
        self.rfile.close()
        self.connection.close()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: ``requests`` holds the record."""
