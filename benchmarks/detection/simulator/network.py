"""The network: how long a message is under way, and whether it arrives."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Protocol

from benchmarks.detection.simulator.failure import NO_ANSWER, REFUSED, RESET, Failure
from benchmarks.detection.simulator.kernel import EXPIRED, Body, Deadline, Signal, Simulation
from benchmarks.detection.simulator.node import End, Node

Serve = Callable[[], Body[Failure | None]]


class Condition(Protocol):
    """Something that is the matter with the network."""

    def leg(self, source: Node, target: Node, channel: str, latency_s: float) -> float | None:
        """How long a message takes that would take `latency_s`; None: it never arrives."""


class Network:
    """Latency between any two nodes, as the conditions of the moment make it."""

    def __init__(self, simulation: Simulation, rng: random.Random) -> None:
        self.conditions: list[Condition] = []
        self._simulation = simulation
        self._rng = rng
        self._near_s = rng.uniform(0.0002, 0.001)
        self._far_s = rng.uniform(0.001, 0.004)
        self._flaky = rng.choice((0.0, 0.00001, 0.0001))
        """So many messages are lost for no reason, in health too."""

    def leg(self, source: Node, target: Node, channel: str) -> float | None:
        """How long one message is under way now."""
        base = self._near_s if source.zone == target.zone else self._far_s
        latency: float | None = base * (1.0 + self._rng.expovariate(2.0))
        if self._flaky and self._rng.random() < self._flaky:
            return None
        for condition in self.conditions:
            if latency is None:
                return None
            latency = condition.leg(source, target, channel, latency)
        return latency

    def request(self, source: Node, target: Node, channel: str, timeout_s: float, serve: Serve) -> Body[Failure | None]:
        """Ask `target`, which serves the request in a process of its own, and wait for the answer."""
        there = self.leg(source, target, channel)
        if there is None or (not target.alive and target.end is End.VANISHED):
            yield timeout_s
            return NO_ANSWER
        if not target.alive:
            yield 2 * there
            return REFUSED
        answer = Signal(self._simulation)
        self._simulation.after(there, self._arrive, source, target, channel, serve, answer)
        value = yield Deadline(answer, timeout_s)
        return NO_ANSWER if value is EXPIRED else value

    def _arrive(self, source: Node, target: Node, channel: str, serve: Serve, answer: Signal) -> None:
        if target.alive:
            target.spawn(self._serve(source, target, channel, serve, answer))
        elif target.end is End.EXIT:
            answer.fire(RESET)

    def _serve(self, source: Node, target: Node, channel: str, serve: Serve, answer: Signal) -> Body[None]:
        served = False
        try:
            failure = yield from serve()
            served = True
        finally:
            if not served and target.end is End.EXIT:
                answer.fire(RESET)  # its host closes the connections of a process that has died
        back = self.leg(target, source, channel)
        if back is not None:
            self._simulation.after(back, answer.fire, failure)
