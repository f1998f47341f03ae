"""An HTTP server on loopback that does what it is told to, request by request."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Request:
    path: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


Behaviour = Callable[["Handler"], None]


@dataclass
class Peer:
    """What it has received, and what it still will do; the last behaviour is done ever again."""

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    script: list[Behaviour] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def will(self, *script: Behaviour) -> None:
        self.script[:] = script


class Handler(BaseHTTPRequestHandler):
    peer: Peer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.peer.requests.append(Request(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        script = self.peer.script
        behave = script.pop(0) if len(script) > 1 else script[0]
        self.close_connection = True
        with suppress(OSError):
            behave(self)

    def log_message(self, *_: object) -> None:
        pass


def answer(status: int = 200, body: str = "ok", **headers: str) -> Behaviour:
    def behave(handler: Handler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body.encode())))
        handler.end_headers()
        handler.wfile.write(body.encode())

    return behave


def raw(content: bytes) -> Behaviour:
    """Send these bytes and close."""

    def behave(handler: Handler) -> None:
        handler.wfile.write(content)

    return behave


def hang(handler: Handler) -> None:
    """Read the request and say nothing."""
    handler.peer.stopping.wait(30)


def half_close(handler: Handler) -> None:
    """End our side without an answer, and leave the other side open."""
    handler.connection.shutdown(socket.SHUT_WR)
    handler.peer.stopping.wait(30)


def half_close_in_answer(handler: Handler) -> None:
    """Promise a body, and end before it."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    handler.connection.shutdown(socket.SHUT_WR)
    handler.peer.stopping.wait(30)


def drip(handler: Handler) -> None:
    """A header that never ends, a byte at a time: each read of it succeeds."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not handler.peer.stopping.wait(0.02):
        handler.wfile.write(b"x")
        handler.wfile.flush()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        """A client that breaks off is part of the play."""


@contextmanager
def http_peer(*script: Behaviour, context: ssl.SSLContext | None = None) -> Iterator[Peer]:
    peer = Peer(script=list(script) or [answer()])
    server = _Server(("127.0.0.1", 0), type("BoundHandler", (Handler,), {"peer": peer}))
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    peer.url = f"{'https' if context else 'http'}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield peer
    finally:
        peer.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join(10)
