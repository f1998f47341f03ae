"""Services that are called: instances with so many threads, what they call in turn, retries and timeouts."""

from __future__ import annotations

import random
from dataclasses import dataclass

from benchmarks.detection.simulator.database import Database, Statement
from benchmarks.detection.simulator.facts import Observer
from benchmarks.detection.simulator.failure import (
    BAD_GATEWAY,
    NO_ANSWER,
    SERVER_ERROR,
    SLOW_ANSWER,
    TOO_MANY_FILES,
    UNAVAILABLE,
    Failure,
)
from benchmarks.detection.simulator.kernel import Body, Slots
from benchmarks.detection.simulator.network import Network
from benchmarks.detection.simulator.node import Node
from benchmarks.detection.simulator.trace import Span


@dataclass(slots=True)
class Client:
    """How callers call: how long they wait, how often they try."""

    timeout_s: float = 2.0
    retries: int = 1
    backoff_s: float = 0.1


class Instance(Node):
    """One process of a service."""

    threads: Slots
    backlog: int


class Service:
    """What answers under one name."""

    def __init__(self, name: str, path: str, seconds: float, rng: random.Random) -> None:
        self.name = name
        self.path = path
        self.seconds = seconds
        self.instances: list[Instance] = []
        self.calls: list[Service] = []
        self.call_share = 1.0
        """So much of its requests needs what it calls: the rest is answered from its cache."""
        self.statement: Statement | None = None
        self.slow = 1.0
        self.error_share = 0.0
        self.mistake_share = rng.choice((0.0, 0.0005, 0.002))
        self._rng = rng

    def pick(self) -> Instance:
        """The load balancer's choice: anyone who is there, or who was there last."""
        living = [instance for instance in self.instances if instance.alive]
        return self._rng.choice(living or self.instances)


class Calls:
    """Calls between services, and from workers to services."""

    def __init__(self, network: Network, observer: Observer, client: Client, rng: random.Random) -> None:
        self.client = client
        self.database: Database | None = None
        self._network = network
        self._observer = observer
        self._rng = rng

    def call(self, caller: Node, service: Service, parent: Span) -> Body[Failure | None]:
        """Call until it succeeds or the caller has had enough."""
        client = self.client
        failure: Failure | None = None
        for attempt in range(client.retries + 1):
            failure = yield from self._try(caller, service, parent)
            if failure is None or (failure.http_code is not None and failure.http_code < 500):
                return failure
            if attempt < client.retries:
                yield client.backoff_s * 2**attempt * (0.5 + self._rng.random())
        return failure

    def _try(self, caller: Node, service: Service, parent: Span) -> Body[Failure | None]:
        if caller.broken_for_calls:
            return TOO_MANY_FILES
        target = service.pick()
        began = caller.simulation.now
        span = self._observer.span(caller, parent)
        failure = yield from self._network.request(
            caller, target, "call", self.client.timeout_s, lambda: self._serve(service, target, span)
        )
        if failure is NO_ANSWER:
            failure = SLOW_ANSWER if target.alive else NO_ANSWER
        self._observer.called(caller, service.name, target, service.path, span, began, failure)
        return failure

    def _serve(self, service: Service, instance: Instance, parent: Span) -> Body[Failure | None]:
        began = instance.simulation.now
        span = self._observer.span(instance, parent)
        if instance.threads.waiting >= instance.backlog:
            failure: Failure | None = UNAVAILABLE
        elif not (yield from instance.threads.take(30.0)):
            failure = UNAVAILABLE
        else:
            try:
                failure = yield from self._work(service, instance, span)
            finally:
                instance.threads.give_back()
        self._observer.served(instance, service.path, span, began, failure)
        return failure

    def _work(self, service: Service, instance: Instance, span: Span) -> Body[Failure | None]:
        rng = self._rng
        instance.machine.allocate(200_000.0)
        yield from instance.machine.burn(service.seconds * service.slow * rng.lognormvariate(0.0, 0.4))
        if rng.random() < service.error_share + service.mistake_share:
            self._observer.logged(instance, 17, "request failed", SERVER_ERROR)
            return SERVER_ERROR
        if service.statement is not None and self.database is not None:
            failure = yield from self.database.transact(instance, (service.statement,), span)
            if failure is not None:
                return SERVER_ERROR
        if service.calls and (service.call_share >= 1.0 or rng.random() < service.call_share):
            for other in service.calls:
                failure = yield from self.call(instance, other, span)
                if failure is not None:
                    self._observer.logged(instance, 17, f"{other.name} failed", failure)
                    return BAD_GATEWAY if failure.http_code is not None else SERVER_ERROR
        return None
