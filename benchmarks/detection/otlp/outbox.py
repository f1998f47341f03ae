"""What a process has recorded and not yet exported, and how the Collector writes it down."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator

from benchmarks.detection.otlp.profile import Profile
from benchmarks.detection.otlp.text import SCHEMA, resource_line
from benchmarks.detection.simulator.node import Node

Records = dict[tuple[str, str], list[str]]


class Outbox:
    """Spans and log records of one process by their scope: what dies with it, if it dies."""

    __slots__ = ("generation", "logs", "metrics", "next_export", "node", "resource", "spans")

    def __init__(self, node: Node, resource: str, next_export: float) -> None:
        self.node = node
        self.resource = resource
        self.next_export = next_export
        self.generation = node.generation
        self.spans: Records = {}
        self.logs: Records = {}
        self.metrics: list[str] = []

    def clear(self) -> None:
        self.spans.clear()
        self.logs.clear()
        self.metrics.clear()


class Collector:
    """Takes batches from all processes and writes lines, about one a second and signal."""

    def __init__(self, profile: Profile, rng: random.Random) -> None:
        self.paused = False
        """It takes what comes, and writes nothing until it goes on."""
        self.down = False
        """What is sent to it is lost."""
        self.held_batches = 0
        self._profile = profile
        self._rng = rng
        self._held: list[tuple[float, int, str, str]] = []
        self._count = 0
        self._written: list[str] = []
        self._waiting: dict[str, list[str]] = {"resourceSpans": [], "resourceLogs": [], "resourceMetrics": []}

    def take(self, outbox: Outbox, now: float) -> None:
        """A process exports what it has."""
        if outbox.spans:
            self._accept(_entry(outbox.resource, "scopeSpans", "spans", outbox.spans), "resourceSpans", now)
            outbox.spans = {}
        if outbox.logs:
            self._accept(_entry(outbox.resource, "scopeLogs", "logRecords", outbox.logs), "resourceLogs", now)
            outbox.logs = {}

    def take_metrics(self, resource: str, by_scope: Records, now: float) -> None:
        self._accept(_entry(resource, "scopeMetrics", "metrics", by_scope), "resourceMetrics", now)

    def _accept(self, entry: str, signal: str, now: float) -> None:
        profile, rng = self._profile, self._rng
        if self.down or (profile.loss and rng.random() < profile.loss):
            return
        if profile.late_share and rng.random() < profile.late_share:
            self._count += 1
            self.held_batches += 1
            due = now + rng.uniform(0.0, profile.late_up_to_s)
            heapq.heappush(self._held, (due, self._count, signal, entry))
        else:
            self._waiting[signal].append(entry)

    def lines(self, now: float) -> Iterator[str]:
        """What it writes now."""
        while self._held and self._held[0][0] <= now:
            _, _, signal, entry = heapq.heappop(self._held)
            self._waiting[signal].append(entry)
        for signal, entries in self._waiting.items():
            if entries:
                self._written.append(resource_line(signal, entries))
                entries.clear()
        if not self.paused:
            yield from self._written
            self._written.clear()


def _entry(resource: str, scopes: str, kind: str, records: Records) -> str:
    parts = ",".join(
        f'{{"scope":{{"name":"{name}","version":"{version}"}},"{kind}":[{",".join(texts)}]}}'
        for (name, version), texts in records.items()
    )
    return f'{{"resource":{{"attributes":[{resource}]}},"{scopes}":[{parts}],"schemaUrl":"{SCHEMA}"}}'
