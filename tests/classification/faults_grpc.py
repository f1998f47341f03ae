"""Faults of gRPC calls, answered by a real server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any

import grpc
import grpc.aio

from otel_monitor_processors.classification import Category
from tests.classification.faults import fault
from tests.classification.peers import HOST, hang_up, peer, refusing, silent

NETWORK, TIMEOUT = Category.NETWORK, Category.TIMEOUT
CONTENTION, RESOURCE, APPLICATION = Category.CONTENTION, Category.RESOURCE, Category.APPLICATION

METHOD = "/test.Service/Call"
OPTIONS = [("grpc.enable_retries", 0)]


class Service(grpc.GenericRpcHandler):
    """Answers each call with the status that its request names, or never."""

    def __init__(self) -> None:
        self.called = threading.Event()
        self.over = threading.Event()

    def service(self, _: object) -> grpc.RpcMethodHandler[Any, Any]:
        return grpc.unary_unary_rpc_method_handler(self.answer)

    def answer(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        said = request.decode()
        self.called.set()
        if said == "wait":
            self.over.wait(10)
        elif said == "raise":
            raise ValueError("own bug")
        elif said == "large":
            return bytes(5_000_000)
        else:
            context.abort(getattr(grpc.StatusCode, said), "told to")
        return b""


@contextmanager
def serving() -> Iterator[tuple[int, Service, grpc.Server]]:
    service = Service()
    server = grpc.server(futures.ThreadPoolExecutor(4), handlers=[service])
    port = server.add_insecure_port(f"{HOST}:0")
    server.start()
    try:
        yield port, service, server
    finally:
        service.over.set()
        server.stop(0).wait()


def unary(channel: Any) -> Any:
    """The one method of the service; without generated code its types are unknown."""
    return channel.unary_unary(METHOD)


def call(port: int, request: str, timeout_s: float = 10) -> None:
    with grpc.insecure_channel(f"{HOST}:{port}", options=OPTIONS) as channel:
        unary(channel)(request.encode(), timeout=timeout_s)


def call_async(port: int, request: str, timeout_s: float = 10) -> None:
    async def run() -> None:
        async with grpc.aio.insecure_channel(f"{HOST}:{port}", options=OPTIONS) as channel:
            await unary(channel)(request.encode(), timeout=timeout_s)

    asyncio.run(run())


CALLERS: dict[str, Callable[..., None]] = {"grpc": call, "grpc.aio": call_async}
STATUSES = {
    "ABORTED": CONTENTION,
    "CANCELLED": None,
    "DEADLINE_EXCEEDED": TIMEOUT,
    "RESOURCE_EXHAUSTED": RESOURCE,
    "UNAVAILABLE": NETWORK,
    "UNKNOWN": APPLICATION,
    "INTERNAL": APPLICATION,
    "INVALID_ARGUMENT": APPLICATION,
    "NOT_FOUND": APPLICATION,
    "PERMISSION_DENIED": APPLICATION,
}


def answered(caller: Callable[..., None], request: str, timeout_s: float = 10) -> Callable[[], None]:
    def provoke() -> None:
        with serving() as (port, _, _):
            caller(port, request, timeout_s)

    return provoke


def refused(caller: Callable[..., None]) -> Callable[[], None]:
    return lambda: caller(refusing(), "OK")


for name, caller in CALLERS.items():
    for status, expected in STATUSES.items():
        fault(f"{name}: {status}", expected)(answered(caller, status))
    fault(f"{name}: deadline", TIMEOUT)(answered(caller, "wait", timeout_s=0.05))
    fault(f"{name}: too large an answer", RESOURCE)(answered(caller, "large"))
    fault(f"{name}: own bug in the server", APPLICATION)(answered(caller, "raise"))
    fault(f"{name}: refused", NETWORK)(refused(caller))


@fault("grpc: server stopped during the call", NETWORK)
def _() -> None:
    with serving() as (port, service, server):
        stopping = threading.Thread(target=lambda: (service.called.wait(10), server.stop(0)))
        stopping.start()
        try:
            call(port, "wait")
        finally:
            service.over.set()
            stopping.join()


@fault("grpc: peer hangs up", NETWORK)
def _() -> None:
    with peer(hang_up) as port:
        call(port, "OK")


@fault("grpc: peer is silent", TIMEOUT)
def _() -> None:
    with silent() as port:
        call(port, "OK", timeout_s=0.1)


@fault("grpc: cancelled by the client", None)
def _() -> None:
    with serving() as (port, _, _), grpc.insecure_channel(f"{HOST}:{port}") as channel:
        future = unary(channel).future(b"wait")
        future.cancel()
        future.result()


@fault("grpc: stream ended by UNAVAILABLE", NETWORK)
def _() -> None:
    with grpc.insecure_channel(f"{HOST}:{refusing()}", options=OPTIONS) as channel:
        stream: Any = channel.unary_stream(METHOD)
        list(stream(b"OK", timeout=10))


@fault("grpc: channel not ready in time", TIMEOUT)
def _() -> None:
    with grpc.insecure_channel(f"{HOST}:{refusing()}") as channel:
        grpc.channel_ready_future(channel).result(timeout=0.05)
