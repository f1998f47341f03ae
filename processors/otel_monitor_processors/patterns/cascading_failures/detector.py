"""Cascading failures: the failure of one brings down the next.

Two kinds of evidence. A chain: workers die one after the other, at best each after it was given the same task
(`losses`). And a spread: a service fails, those that call it fail, and those that call them (`spread`).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from otel_monitor_processors.classification import Category
from otel_monitor_processors.observation import (
    Assignment,
    Change,
    ErrorLog,
    Heartbeat,
    Level,
    Link,
    Membership,
    MetricPoint,
    OperationCount,
    TraceRef,
)
from otel_monitor_processors.patterns.calibration import Knots, interpolate
from otel_monitor_processors.patterns.cascading_failures.calls import Calls
from otel_monitor_processors.patterns.cascading_failures.failing_services import FailingServices
from otel_monitor_processors.patterns.cascading_failures.failing_source import COUNTS, LOGS, SPANS, Answers
from otel_monitor_processors.patterns.cascading_failures.losses import Losses
from otel_monitor_processors.patterns.cascading_failures.roster import Roster
from otel_monitor_processors.patterns.cascading_failures.spread import Spread, Spreads
from otel_monitor_processors.patterns.cascading_failures.wording import chain_finding, spread_finding
from otel_monitor_processors.patterns.finding import Finding, Gates, Interests
from otel_monitor_processors.patterns.verdict import Pattern
from otel_monitor_processors.tally import Tally

KNOTS: dict[str, Knots] = {
    "spread": ((1.0, 0.0), (3.0, 0.4), (4.0, 0.6), (6.0, 0.95)),
    "unlinked": ((2.0, 0.0), (10.0, 0.25), (30.0, 0.4), (50.0, 0.6), (100.0, 0.82)),
    "doubtful": ((2.0, 0.0), (20.0, 0.12)),
    "chain": ((2.5, 0.0), (4.0, 0.3), (4.9, 0.48), (5.4, 0.65), (7.0, 0.85), (9.0, 0.9)),
    "counted": ((4.5, 0.06), (8.0, 0.15)),
    "silent": ((3.0, 0.0), (10.0, 0.2)),
}
"""Confidence by kind of evidence and its score, a -log10 p."""

_EVERY_S = 2.0
_LEAST = 0.05
_ASSIGN = "assign"
_PROCESS = "process"
_ERRORS = "orchestrator.errors"
_FAILURES = "orchestrator.worker.failures"
_INTERVAL = "orchestrator.heartbeat.interval"
_AGE = "orchestrator.heartbeat.age"
_TELLING = frozenset((_ERRORS, _FAILURES, _INTERVAL, _AGE))
_WORKER = "orchestrator.worker.id"
_CONTENTION = ("otel_monitor.error.category", "contention")
_CONTENDED = Category.CONTENTION
_UNREACHED = (Category.NETWORK, Category.TIMEOUT, Category.WORKER_LOST)
_MAX_TRACES = 5
_MIN_EVENTS = 3


class CascadingFailures:
    """Detects chains of losses and the spread of failures from service to service."""

    pattern = Pattern.CASCADING_FAILURES

    def __init__(self, gates: Gates | None = None) -> None:
        self.gates = gates or Gates(min_events=_MIN_EVENTS)
        self._losses = Losses()
        self._failing = FailingServices(self.gates.time_window_s)
        self._calls = Calls(self.gates.time_window_s)
        self._spreads = Spreads(self._failing, self._calls)
        self._roster = Roster()
        self._service_of = self._roster.service_of
        self._well = self._calls.well
        self._unreached = self._losses.unreached
        self._spread: Spread | None = None
        self._looked_at = -math.inf
        self._traces: deque[TraceRef] = deque(maxlen=_MAX_TRACES)

    @property
    def dropped(self) -> int:
        return self._roster.dropped + self._losses.dropped + self._failing.dropped + self._calls.dropped

    @dropped.setter
    def dropped(self, value: int) -> None:
        self._roster.dropped = value

    def interests(self) -> Interests:
        """Failures of any kind, losses, and who was given which task."""
        return {
            Tally: self._tally,
            Link: self._link,
            Level: self._level,
            OperationCount: self._count,
            ErrorLog: self._log,
            MetricPoint: self._metric,
            Assignment: self._losses.assigned,
            Membership: self._member,
            Heartbeat: self._heartbeat,
        }

    def _tally(self, tally: Tally) -> None:
        source, at = tally.source, tally.second + 0.5
        self._losses.seen(source, at)
        if tally.failed:
            self._failed_tally(tally, at)
        elif tally.calls and not tally.database:
            name = tally.service or source
            self._enter(source, name, tally)
            self._failing.answered(at, name, tally.calls, tally.durations)

    def _enter(self, source: str, name: str, tally: Tally) -> None:
        if source not in self._service_of:
            self._roster.enter(source, name)
        if _ASSIGN in tally.work:
            self._roster.orchestrates(source)

    def _failed_tally(self, tally: Tally, at: float) -> None:
        source, name, failed = tally.source, tally.service or tally.source, tally.failed
        if tally.database:
            self._failing.database_failed(at, SPANS, failed)
            return
        self._enter(source, name, tally)
        contended = tally.categories.get(Category.CONTENTION, 0)
        unreached = sum(tally.categories.get(category, 0) for category in _UNREACHED)
        failed -= contended
        if contended:
            self._failing.database_failed(at, SPANS, contended)
        if unreached and source in self._roster.orchestrators:
            failed -= unreached
            self._losses.missing(at)
        for refs in tally.traces.values():
            self._traces.extend(refs)
        busy_s = sum(part[1] for part in tally.work.values())
        self._failing.add(Answers(at, name, source, SPANS, tally.calls, failed, unreached, busy_s))

    def _count(self, count: OperationCount) -> None:
        source, category = count.source, count.category
        name = count.service or source
        self._losses.seen(source, count.at)
        if category is not None and (count.database or category is Category.CONTENTION):
            self._failing.database_failed(count.at, COUNTS, count.calls)
        if count.database:
            return
        if source not in self._service_of:
            self._roster.enter(source, name)
        if count.name == _PROCESS:
            self._losses.works(source)
        elif count.name == _ASSIGN:
            self._roster.orchestrates(source)
        failed = count.calls if category is not None and category is not Category.CONTENTION else 0
        unreached = failed if category in _UNREACHED else 0
        if unreached and source in self._roster.orchestrators:
            failed = 0
            self._losses.missing(count.at)
        self._failing.add(Answers(count.at, name, source, COUNTS, count.calls, failed, unreached, count.busy_s))

    def _log(self, log: ErrorLog) -> None:
        unreached = log.category in _UNREACHED
        self._losses.seen(log.source, log.at)
        if log.category is Category.CONTENTION:
            self._failing.database_failed(log.at, LOGS, 1)
            return
        if unreached and not self._losses.is_worker(log.source):
            self._losses.missing(log.at)
        if not (unreached and log.source in self._roster.orchestrators):
            self._failing.add(Answers(log.at, log.service or log.source, log.source, LOGS, 0, 1, unreached))

    def _metric(self, point: MetricPoint) -> None:
        name, value = point.name, point.value
        if name not in _TELLING or value <= 0:
            return
        if name == _FAILURES:
            self._losses.counted(point.at, int(value))
        elif name == _ERRORS and _CONTENTION in point.attributes:
            self._failing.database_failed(point.at, COUNTS, int(value))
        elif worker := dict(point.attributes).get(_WORKER):
            if name == _INTERVAL:
                self._losses.told(worker, value)
            else:
                self._losses.aged(worker, point.at, value)

    def _member(self, membership: Membership) -> bool:
        losses, worker, at = self._losses, membership.source, membership.at
        if membership.change is Change.LOST and worker != membership.observer:
            losses.lost(worker, at)
            return True
        if membership.change is Change.LEFT:
            losses.left(worker)
        elif membership.change is Change.JOINED:
            losses.back(worker, at)
        return False

    def _heartbeat(self, heartbeat: Heartbeat) -> None:
        if heartbeat.source == heartbeat.observer:  # its own word, on its way to somebody else
            self._losses.exports(heartbeat.source, heartbeat.at)
        elif heartbeat.ok:
            self._losses.beat(heartbeat.source, heartbeat.at)

    def _link(self, link: Link) -> None:
        _, source, peer, ok, _, category, _, service = link
        edge = (service or source, peer)
        if category is None or category is _CONTENDED:
            try:
                self._well[edge] += 1
            except KeyError:
                self._calls.add(edge, 1, 0)
        else:
            self._calls.add(edge, 1, 1)
        if not ok:
            self._losses.seen(source, link.at)
            self._losses.missed(peer, link.at, known=peer in self._service_of)
        elif peer in self._unreached:
            self._losses.reached(peer)

    def _level(self, level: Level) -> None:
        self._losses.seen(level.source, level.at)

    def findings(self, now: float) -> Iterable[Finding]:
        """The deaths in a row or, if there are none, the worst spread: they would be one cascade."""
        if not self.gates.enabled:
            return
        if now - self._looked_at >= _EVERY_S:
            self._looked_at = now
            self._look(now)
        chain = self._losses.chain(now)
        if chain is not None:
            confidence = interpolate(KNOTS[chain.kind], chain.score)
            if confidence >= _LEAST and self._passes(len(chain.workers), chain.steps):
                yield chain_finding(chain, confidence, self.gates.time_window_s)
                return
        spread = self._spread
        if spread is not None:
            confidence = interpolate(KNOTS[spread.kind], spread.score)
            if confidence >= _LEAST:
                yield from self._spreading(spread, confidence)

    def _look(self, now: float) -> None:
        self._spread = None
        self._failing.settle(now)
        self._calls.roll(now, self._service_of)
        if self._failing.suspects:
            self._failing.roll(now)
            spread = self._spreads.worst(now)
            if spread is not None and not spread.doubt and self._is_fleet(spread.root):
                spread = replace(spread, doubt="tasks fail, and those who give them out say so")
            self._spread = spread

    def _is_fleet(self, service: str) -> bool:
        """Whether it is the workers themselves, or their orchestrator: a task that fails is told by both of them."""
        return any(
            source in self._roster.orchestrators or self._losses.is_worker(source)
            for source in self._failing.sources({service})
        )

    def _passes(self, sources: int, events: int) -> bool:
        """Whether the gates let a finding through."""
        share = sources / max(1, len(self._roster))
        return events >= min(self.gates.min_events, 2) and share >= self.gates.failure_rate_threshold

    def _spreading(self, spread: Spread, confidence: float) -> Iterable[Finding]:
        sources = self._failing.sources(set(spread.services))
        failures = {name: self._failing.failures(name) for name in spread.services}
        if sum(failures.values()) < self.gates.min_events or not self._passes(len(sources), sum(failures.values())):
            return
        yield spread_finding(spread, confidence, self.gates.time_window_s, sources, failures, self._traces)

    # -- state ------------------------------------------------------------------------------------------

    def pause(self, gap_s: float) -> None:
        """Nothing was heard meanwhile: that proves nobody's death."""
        self._losses.pause(gap_s)

    def reset(self) -> None:
        self._losses.reset()
        self._failing.reset()
        self._calls.reset()
        self._spreads.reset()
        self._roster.reset()
        self._traces.clear()
        self._spread = None
        self._looked_at = -math.inf

    def dump(self) -> dict[str, Any]:
        return {
            "losses": self._losses.dump(),
            "failing": self._failing.dump(),
            "calls": self._calls.dump(),
            "spreads": self._spreads.dump(),
            "spread": self._spread.dump() if self._spread is not None else None,
            "roster": self._roster.dump(),
            "traces": [list(trace) for trace in self._traces],
            "looked_at": self._looked_at if math.isfinite(self._looked_at) else None,
        }

    def load(self, state: dict[str, Any]) -> None:
        self.reset()
        self._losses.load(state["losses"])
        self._failing.load(state["failing"])
        self._calls.load(state["calls"])
        self._spreads.load(state["spreads"])
        self._spread = Spread.load(state["spread"]) if state["spread"] is not None else None
        self._roster.load(state["roster"])
        self._traces.extend(TraceRef(*trace) for trace in state["traces"])
        self._looked_at = -math.inf if state["looked_at"] is None else state["looked_at"]
