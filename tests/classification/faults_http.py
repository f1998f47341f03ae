"""Faults on the way to an HTTP server, in each of the clients that Python programs use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple

import aiohttp
import httpx
import requests
import urllib3

from otel_monitor_processors.classification import Category
from tests.classification.children import no_descriptors_left
from tests.classification.faults import fault
from tests.classification.peers import (
    CHUNKED_TRUNCATED,
    HOST,
    TRUNCATED,
    UNRESOLVABLE,
    behind_tls,
    hang_up,
    peer,
    refusing,
    reset,
    silent,
    stalling,
    status,
    unreachable,
)

NETWORK, TIMEOUT = Category.NETWORK, Category.TIMEOUT
RESOURCE, APPLICATION = Category.RESOURCE, Category.APPLICATION

LONG = 5.0
SHORT = 0.05

Get = Callable[[str, float, float], object]
"""Fetch a URL with a timeout to connect and one to read, and fail as the client does."""


def by_requests(url: str, connect_s: float, read_s: float) -> None:
    with requests.Session() as session:
        session.trust_env = False
        session.get(url, timeout=(connect_s, read_s)).raise_for_status()


def by_requests_streaming(url: str, connect_s: float, read_s: float) -> None:
    with requests.Session() as session:
        session.trust_env = False
        list(session.get(url, timeout=(connect_s, read_s), stream=True).iter_content())


def by_urllib3(url: str, connect_s: float, read_s: float) -> None:
    with urllib3.PoolManager() as pool:
        retries = urllib3.Retry(1, status=1, backoff_factor=0, status_forcelist=[408, 429, 502, 503, 504])
        pool.request("GET", url, timeout=urllib3.Timeout(connect=connect_s, read=read_s), retries=retries)


def by_httpx(url: str, connect_s: float, read_s: float) -> None:
    with httpx.Client(trust_env=False, timeout=httpx.Timeout(read_s, connect=connect_s)) as client:
        client.get(url).raise_for_status()


def by_async_httpx(url: str, connect_s: float, read_s: float) -> None:
    async def get() -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=httpx.Timeout(read_s, connect=connect_s)) as client:
            (await client.get(url)).raise_for_status()

    asyncio.run(get())


def by_aiohttp(url: str, connect_s: float, read_s: float) -> None:
    async def get() -> None:
        timeout = aiohttp.ClientTimeout(sock_connect=connect_s, sock_read=read_s)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as response:
            await response.read()
            response.raise_for_status()

    asyncio.run(get())


class Situation(NamedTuple):
    """What the client meets: a port, and how long it waits there."""

    expected: Category
    port: Callable[[], AbstractContextManager[int]]
    connect_s: float = LONG
    read_s: float = LONG
    scheme: str = "http"
    host: str = HOST


BEGUN = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this"

SITUATIONS = {
    "refused": Situation(NETWORK, lambda: nullcontext(refusing())),
    "name does not resolve": Situation(NETWORK, lambda: nullcontext(80), host=UNRESOLVABLE),
    "reset": Situation(NETWORK, lambda: peer(reset)),
    "hung up": Situation(NETWORK, lambda: peer(hang_up)),
    "truncated": Situation(NETWORK, lambda: peer(TRUNCATED)),
    "truncated between chunks": Situation(NETWORK, lambda: peer(CHUNKED_TRUNCATED)),
    "connect timed out": Situation(NETWORK, unreachable, connect_s=SHORT),
    "silent": Situation(TIMEOUT, silent, read_s=SHORT),
    "stalled in the body": Situation(TIMEOUT, lambda: stalling(BEGUN), read_s=SHORT),
    "TLS handshake hung up": Situation(NETWORK, lambda: peer(hang_up), scheme="https"),
    "TLS not spoken": Situation(APPLICATION, lambda: peer(status(200)), scheme="https"),
    "408": Situation(TIMEOUT, lambda: peer(status(408))),
    "429": Situation(RESOURCE, lambda: peer(status(429))),
    "502": Situation(NETWORK, lambda: peer(status(502))),
    "503": Situation(RESOURCE, lambda: peer(status(503))),
    "504": Situation(TIMEOUT, lambda: peer(status(504))),
    "404": Situation(APPLICATION, lambda: peer(status(404))),
    "500": Situation(APPLICATION, lambda: peer(status(500))),
}

CLIENTS: dict[str, tuple[Get, frozenset[str]]] = {
    "requests": (by_requests, frozenset()),
    "requests, streaming": (
        by_requests_streaming,
        frozenset({"truncated", "truncated between chunks", "stalled in the body"}),
    ),
    "urllib3": (by_urllib3, frozenset(SITUATIONS) - {"404", "500"}),
    "httpx": (by_httpx, frozenset()),
    "httpx, async": (
        by_async_httpx,
        frozenset({"refused", "reset", "silent", "connect timed out", "TLS handshake hung up"}),
    ),
    "aiohttp": (by_aiohttp, frozenset()),
}


def provoke(get: Get, situation: Situation) -> Callable[[], None]:
    def meet() -> None:
        with situation.port() as port:
            get(f"{situation.scheme}://{situation.host}:{port}/", situation.connect_s, situation.read_s)

    return meet


for client, (get, only) in CLIENTS.items():
    for name, situation in SITUATIONS.items():
        if not only or name in only:
            fault(f"{client}: {name}", situation.expected)(provoke(get, situation))


def distrust(get: Get) -> Callable[[Path], None]:
    def meet(certificate: Path) -> None:
        with peer(behind_tls(certificate)) as port:
            get(f"https://{HOST}:{port}/", LONG, LONG)

    return meet


for client in ("requests", "urllib3", "httpx", "aiohttp"):
    fault(f"{client}: certificate not trusted", APPLICATION, "certificate")(distrust(CLIENTS[client][0]))


def starve(get: Get) -> Callable[[], None]:
    """No descriptor is left for the client's socket; sync clients only, an event loop needs some itself."""

    def meet() -> None:
        with no_descriptors_left():
            get(f"http://{HOST}:1/", LONG, LONG)

    return meet


for client in ("requests", "urllib3", "httpx"):
    fault(f"{client}: no descriptors left", RESOURCE)(starve(CLIENTS[client][0]))


@fault("urllib3: all connections of the pool in use", RESOURCE)
def _() -> None:
    with silent() as port, urllib3.HTTPConnectionPool(HOST, port, maxsize=1, block=True) as pool:
        pool._get_conn()
        pool.urlopen("GET", "/", pool_timeout=SHORT)  # type: ignore[arg-type]  # seconds may be fractions


@fault("httpx: all connections of the pool in use", RESOURCE)
def _() -> None:
    limits = httpx.Limits(max_connections=1)
    timeout = httpx.Timeout(LONG, pool=SHORT)
    with (
        stalling(BEGUN) as port,
        httpx.Client(trust_env=False, limits=limits, timeout=timeout) as client,
        client.stream("GET", f"http://{HOST}:{port}/"),
    ):
        client.get(f"http://{HOST}:{port}/")
