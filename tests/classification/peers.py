"""Peers on loopback that behave badly: they refuse, reset, fall silent, hang up, or answer what they were told to."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tests.ports import free_port

HOST = "127.0.0.1"
UNRESOLVABLE = "nobody.invalid"

Behaviour = Callable[[socket.socket], None]


def refusing() -> int:
    """A port that nobody listens on."""
    return free_port()


@contextmanager
def peer(behave: Behaviour) -> Iterator[int]:
    """The port of a server that does `behave` to each connection, one after another."""
    with socket.create_server((HOST, 0)) as server:
        thread = threading.Thread(target=_serve, args=(server, behave), daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def _serve(server: socket.socket, behave: Behaviour) -> None:
    with suppress(OSError):
        while True:
            connection, _ = server.accept()
            with connection, suppress(OSError):
                connection.settimeout(5)
                behave(connection)


def reset(connection: socket.socket) -> None:
    """Read the request, then break the connection off."""
    connection.recv(65536)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def hang_up(connection: socket.socket) -> None:
    """Read the request, then close in good order without an answer."""
    connection.recv(65536)


def close(_: socket.socket) -> None:
    """Close in good order without even reading."""


def behind_tls(certificate: Path) -> Behaviour:
    """Speak TLS with a certificate of our own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def shake_hands(connection: socket.socket) -> None:
        context.wrap_socket(connection, server_side=True).recv(65536)

    return shake_hands


def answering(answer: bytes) -> Behaviour:
    """Read the request, answer with these bytes, and close."""

    def answer_once(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(answer)

    return answer_once


def status(code: int) -> Behaviour:
    """Answer with an HTTP status."""
    return answering(b"HTTP/1.1 %d Whatever\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % code)


TRUNCATED = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this")
CHUNKED_TRUNCATED = answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab")


@contextmanager
def silent() -> Iterator[int]:
    """The port of a server whose kernel accepts, and that never says a word."""
    with socket.create_server((HOST, 0), backlog=16) as server:
        yield server.getsockname()[1]


@contextmanager
def stalling(beginning: bytes) -> Iterator[int]:
    """The port of a server that begins an answer and never ends it."""
    ended = threading.Event()

    def behave(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(beginning)
        ended.wait(10)

    with peer(behave) as port:
        try:
            yield port
        finally:
            ended.set()


@contextmanager
def unreachable() -> Iterator[int]:
    """A port whose queue of connections is full: one more gets no answer, as from a host that is gone."""
    with ExitStack() as opened:
        server = opened.enter_context(socket.socket())
        server.bind((HOST, 0))
        server.listen(0)
        port: int = server.getsockname()[1]
        for _ in range(4):
            client = opened.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex((HOST, port))
        yield port
