"""Faults of sockets, of asyncio's streams and of the HTTP and TLS in the standard library."""

from __future__ import annotations

import asyncio
import http.client
import socket
import ssl
import urllib.request
from pathlib import Path
from typing import Any

from otel_monitor_processors.classification import Category
from tests.classification.children import HAS_SYSTEM_RIGHTS, raise_in_child
from tests.classification.faults import fault
from tests.classification.peers import (
    CHUNKED_TRUNCATED,
    HOST,
    TRUNCATED,
    UNRESOLVABLE,
    answering,
    behind_tls,
    hang_up,
    peer,
    refusing,
    reset,
    silent,
    status,
    unreachable,
)

NETWORK, TIMEOUT = Category.NETWORK, Category.TIMEOUT
RESOURCE, APPLICATION = Category.RESOURCE, Category.APPLICATION


@fault("socket: refused", NETWORK)
def _() -> None:
    socket.create_connection((HOST, refusing()))


@fault("socket: reset", NETWORK)
def _() -> None:
    with peer(reset) as port, socket.create_connection((HOST, port)) as client:
        client.sendall(b"hello")
        client.recv(10)


@fault("socket: write to a closed one", NETWORK)
def _() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours:
        ours.sendall(b"hello")


@fault("socket: write after shutdown", NETWORK)
def _() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.shutdown(socket.SHUT_WR)
        ours.sendall(b"hello")


@fault("socket: not connected", NETWORK)
def _() -> None:
    with socket.socket() as client:
        client.getpeername()


@fault("socket: read timed out", TIMEOUT)
def _() -> None:
    with silent() as port, socket.create_connection((HOST, port), timeout=0.05) as client:
        client.recv(10)


@fault("socket: connect timed out by its own timeout", TIMEOUT)
def _() -> None:
    with unreachable() as port:
        socket.create_connection((HOST, port), timeout=0.05)


@fault("socket: connect timed out by the kernel", NETWORK)
def _() -> None:
    with unreachable() as port, socket.socket() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 100)
        client.connect((HOST, port))


@fault("socket: name does not resolve", NETWORK)
def _() -> None:
    socket.create_connection((UNRESOLVABLE, 80))


@fault("socket: address that is not ours", NETWORK)
def _() -> None:
    with socket.socket() as server:
        server.bind(("192.0.2.1", 0))


@fault("socket: address in use", APPLICATION)
def _() -> None:
    with socket.create_server((HOST, 0)) as server:
        socket.create_server((HOST, server.getsockname()[1]))


@fault("socket: buffer full, without blocking", RESOURCE)
def _() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        while True:
            ours.send(bytes(65536))


@fault("socket: unix socket that is not there", APPLICATION)
def _() -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect("/nowhere/socket")


@fault("socket: no network", NETWORK, possible=HAS_SYSTEM_RIGHTS)
def _() -> None:
    raise_in_child("""
        import ctypes, socket
        assert ctypes.CDLL(None).unshare(0x40000000) == 0  # CLONE_NEWNET: a network of its own, that is down
        socket.create_connection(("127.0.0.1", 80))
    """)


@fault("asyncio: refused", NETWORK)
def _() -> None:
    asyncio.run(asyncio.open_connection(HOST, refusing()))


@fault("asyncio: refused at each address of a name", NETWORK)
def _() -> None:
    async def connect() -> None:
        loop: Any = asyncio.get_running_loop()
        port = refusing()
        both = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in (HOST, "127.0.0.2")]

        async def resolve(*_: object, **__: object) -> object:
            return both

        loop.getaddrinfo = resolve  # a name with two addresses, whatever /etc/hosts has
        await loop.create_connection(asyncio.Protocol, "two-addresses", port)

    asyncio.run(connect())


@fault("asyncio: name does not resolve", NETWORK)
def _() -> None:
    asyncio.run(asyncio.open_connection(UNRESOLVABLE, 80))


async def read_exactly(port: int, size: int, timeout_s: float = 5) -> None:
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        writer.write(b"hello")
        async with asyncio.timeout(timeout_s):
            await reader.readexactly(size)
    finally:
        writer.close()


@fault("asyncio: stream ended early", NETWORK)
def _() -> None:
    with peer(answering(b"ab")) as port:
        asyncio.run(read_exactly(port, 10))


@fault("asyncio: stream reset", NETWORK)
def _() -> None:
    with peer(reset) as port:
        asyncio.run(read_exactly(port, 10))


@fault("asyncio: stream silent", TIMEOUT)
def _() -> None:
    with silent() as port:
        asyncio.run(read_exactly(port, 10, timeout_s=0.05))


def get(port: int, *, timeout_s: float = 5, scheme: str = "http", host: str = HOST) -> None:
    urllib.request.urlopen(f"{scheme}://{host}:{port}/", timeout=timeout_s).read()


@fault("urllib: refused", NETWORK)
def _() -> None:
    get(refusing())


@fault("urllib: name does not resolve", NETWORK)
def _() -> None:
    get(80, host=UNRESOLVABLE)


@fault("urllib: reset", NETWORK)
def _() -> None:
    with peer(reset) as port:
        get(port)


@fault("urllib: silent", TIMEOUT)
def _() -> None:
    with silent() as port:
        get(port, timeout_s=0.05)


@fault("urllib: hung up", NETWORK)
def _() -> None:
    with peer(hang_up) as port:
        get(port)


@fault("urllib: truncated", NETWORK)
def _() -> None:
    with peer(TRUNCATED) as port:
        get(port)


@fault("urllib: truncated between chunks", NETWORK)
def _() -> None:
    with peer(CHUNKED_TRUNCATED) as port:
        get(port)


@fault("urllib: 503", RESOURCE)
def _() -> None:
    with peer(status(503)) as port:
        get(port)


@fault("urllib: 404", APPLICATION)
def _() -> None:
    with peer(status(404)) as port:
        get(port)


@fault("http.client: no HTTP at all", NETWORK)
def _() -> None:
    with peer(answering(b"+PONG\r\n")) as port:
        connection = http.client.HTTPConnection(HOST, port, timeout=5)
        connection.request("GET", "/")
        connection.getresponse()


@fault("ssl: hung up in the handshake", NETWORK)
def _() -> None:
    with peer(hang_up) as port:
        get(port, scheme="https")


@fault("ssl: silent in the handshake", TIMEOUT)
def _() -> None:
    with silent() as port:
        get(port, scheme="https", timeout_s=0.05)


@fault("ssl: certificate not trusted", APPLICATION, "certificate")
def _(certificate: Path) -> None:
    with peer(behind_tls(certificate)) as port:
        get(port, scheme="https")


@fault("ssl: the peer does not speak it", APPLICATION)
def _() -> None:
    with peer(status(200)) as port, socket.create_connection((HOST, port)) as client:
        ssl.create_default_context().wrap_socket(client, server_hostname="localhost")
