"""A fleet of workers whose heartbeats an orchestrator receives, driven on virtual time."""

from __future__ import annotations

import random

from otel_monitor_processors.engine import Engine, Transition, VerdictTransition
from otel_monitor_processors.observation import Heartbeat, Observation
from otel_monitor_processors.patterns.finding import Gates
from otel_monitor_processors.patterns.heartbeat_degradation.detector import HeartbeatDegradation
from otel_monitor_processors.patterns.verdict import Verdict

START = 1_700_000_000.0


class Fleet:
    """Workers whose heartbeats an orchestrator receives, driven on virtual time."""

    def __init__(self, workers: int, interval_s: float = 1.0, noise: float = 0.02, gates: Gates | None = None) -> None:
        self.engine = Engine(rules=(), detectors=[HeartbeatDegradation(gates)])
        self.now = START
        self.interval_s = interval_s
        self._random = random.Random(7)
        self._noise = noise
        self._due = {f"w{i}": START + i * interval_s / max(1, workers) for i in range(workers)}
        self.silent: set[str] = set()
        self.stretch: dict[str, float] = {}
        self.shake: dict[str, float] = {}

    def feed(self, observation: Observation) -> list[Verdict]:
        return verdicts_of(self.engine.observe([observation]))

    def run(self, seconds: float) -> list[Verdict]:
        """Heartbeats as they come for so long; the verdicts on the way."""
        verdicts: list[Verdict] = []
        end = self.now + seconds
        while self.now < end:
            worker, due = min(self._due.items(), key=lambda item: item[1])
            self.now = min(due, end)
            if due > end:
                break
            interval = self.interval_s * self.stretch.get(worker, 1.0)
            shake = self.shake.get(worker, self._noise)
            self._due[worker] = due + max(0.01, interval * (1.0 + self._random.uniform(-shake, shake)))
            if worker not in self.silent:
                verdicts += self.feed(Heartbeat(due, worker, "orchestrator"))
            verdicts += verdicts_of(self.engine.advance(self.now))
        verdicts += verdicts_of(self.engine.advance(self.now))
        return verdicts


def verdicts_of(transitions: list[Transition]) -> list[Verdict]:
    """The verdicts among what an engine has put out."""
    return [t.verdict for t in transitions if isinstance(t, VerdictTransition)]
