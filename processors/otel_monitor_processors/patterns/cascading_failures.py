"""Cascading failures: the failure of one brings down the next.

Two kinds of evidence. A chain of losses: a worker is lost, its successor is given the same task, and is lost as
well. And a spread: source after source fails more often than it used to, one after the other, more of them
than chance allows.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Any

from otel_monitor_processors.classification import Category
from otel_monitor_processors.observation import Assignment, Change, ErrorLog, Heartbeat, Level, Link, Membership, MetricPoint, OperationCount, TraceRef
from otel_monitor_processors.patterns.calibration import Knots, interpolate
from otel_monitor_processors.patterns.calls import Calls
from otel_monitor_processors.patterns.failing_services import COUNTS, LOGS, SPANS, Answers, FailingServices
from otel_monitor_processors.patterns.finding import Finding, Gates, Interests
from otel_monitor_processors.patterns.losses import Chain, Losses
from otel_monitor_processors.patterns.spread import Spread, Spreads
from otel_monitor_processors.patterns.verdict import Pattern
from otel_monitor_processors.tally import Tally

KNOTS: dict[str, Knots] = {
    "spread": ((1.0, 0.0), (3.0, 0.4), (4.0, 0.6), (6.0, 0.95)),
    "unlinked": ((1.0, 0.0), (3.0, 0.4), (4.0, 0.6), (6.0, 0.95)),
    "doubtful": ((2.0, 0.0), (20.0, 0.2)),
    "chain": ((2.5, 0.0), (3.5, 0.4), (4.0, 0.6), (6.0, 0.95)),
    "silent": ((3.0, 0.0), (10.0, 0.2)),
}
"""Confidence by kind of evidence and its score."""

_MAX_SOURCES = 4_096
_EVERY_S = 2.0
_ASSIGN = "assign"
_ERRORS = "orchestrator.errors"
_FAILURES = "orchestrator.worker.failures"
_CONTENTION = ("otel_monitor.error.category", "contention")
_UNREACHED = (Category.NETWORK, Category.TIMEOUT, Category.WORKER_LOST)
_MAX_TRACES = 5


class CascadingFailures:
    """Detects chains of losses and the spread of failures from service to service."""

    pattern = Pattern.CASCADING_FAILURES

    def __init__(self, gates: Gates | None = None) -> None:
        self.gates = gates or Gates(min_events=3)
        self._losses = Losses()
        self._failing = FailingServices(self.gates.time_window_s)
        self._calls = Calls(self.gates.time_window_s)
        self._spreads = Spreads(self._failing, self._calls)
        self._service_of: OrderedDict[str, str] = OrderedDict()
        self._orchestrators: OrderedDict[str, None] = OrderedDict()
        self._spread: Spread | None = None
        self._looked_at = -math.inf
        self._traces: deque[TraceRef] = deque(maxlen=_MAX_TRACES)

    @property
    def dropped(self) -> int:
        return self._losses.dropped + self._failing.dropped + self._calls.dropped

    @dropped.setter
    def dropped(self, value: int) -> None:
        self._failing.dropped = value

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
        source, name = tally.source, tally.service or tally.source
        failed = tally.failed
        self._losses.seen(source, tally.at)
        if tally.database:
            if failed:
                self._failing.database_failed(tally.at, SPANS, failed)
            return
        if not tally.calls:
            return
        if source not in self._service_of:
            self._know(source, name)
        if _ASSIGN in tally.work:
            self._orchestrators[source] = None
        unreached = 0
        if failed:
            categories = tally.categories
            contended = categories.get(Category.CONTENTION, 0)
            unreached = sum([categories.get(category, 0) for category in _UNREACHED])
            failed -= contended
            if contended:
                self._failing.database_failed(tally.at, SPANS, contended)
            if source in self._orchestrators and unreached:
                failed -= unreached
                self._losses.missing(tally.at)
            for refs in tally.traces.values():
                self._traces.extend(refs)
        busy_s = sum([part[1] for part in tally.work.values()])
        self._failing.add(Answers(tally.at, name, source, SPANS, tally.calls, failed, unreached, busy_s))

    def _count(self, count: OperationCount) -> None:
        source, category = count.source, count.category
        name = count.service or source
        self._losses.seen(source, count.at)
        if category is not None and (count.database or category is Category.CONTENTION):
            self._failing.database_failed(count.at, COUNTS, count.calls)
        if count.database:
            return
        if source not in self._service_of:
            self._know(source, name)
        if count.name == _ASSIGN:
            self._orchestrators[source] = None
        failed = count.calls if category is not None and category is not Category.CONTENTION else 0
        unreached = failed if category in _UNREACHED else 0
        if unreached and source in self._orchestrators:
            failed = 0
            self._losses.missing(count.at)
        self._failing.add(Answers(count.at, name, source, COUNTS, count.calls, failed, unreached, count.busy_s))

    def _log(self, log: ErrorLog) -> None:
        name = log.service or log.source
        unreached = log.category in _UNREACHED
        self._losses.seen(log.source, log.at)
        if log.category is Category.CONTENTION:
            self._failing.database_failed(log.at, LOGS, 1)
        elif unreached and log.source in self._orchestrators:
            self._losses.missing(log.at)
        else:
            self._failing.add(Answers(log.at, name, log.source, LOGS, 0, 1, unreached))

    def _metric(self, point: MetricPoint) -> None:
        if point.name == _FAILURES and point.value > 0:
            self._losses.counted(point.at, int(point.value))
        elif point.name == _ERRORS and _CONTENTION in point.attributes and point.value > 0:
            self._failing.database_failed(point.at, COUNTS, int(point.value))

    def _know(self, source: str, service: str) -> None:
        if len(self._service_of) >= _MAX_SOURCES:
            self._service_of.popitem(last=False)
        self._service_of[source] = service

    def _member(self, membership: Membership) -> bool:
        losses, worker, at = self._losses, membership.source, membership.at
        if membership.change is Change.LOST and worker != membership.observer:
            losses.lost(worker, at)
            return True
        if membership.change is Change.LEFT:
            losses.left(worker)
        elif membership.change is Change.JOINED:
            losses.back(worker)
        return False

    def _heartbeat(self, heartbeat: Heartbeat) -> None:
        if heartbeat.ok:
            self._losses.beat(heartbeat.source, heartbeat.at)

    def _link(self, link: Link) -> None:
        self._calls.add(link)
        self._losses.seen(link.source, link.at)
        if not link.ok:
            self._losses.missed(link.peer, link.at)

    def _level(self, level: Level) -> None:
        self._losses.seen(level.source, level.at)

    def findings(self, now: float) -> Iterable[Finding]:
        """The deaths in a row, and the worst spread."""
        if not self.gates.enabled:
            return
        chain = self._losses.chain(now)
        if chain is not None:
            kind = "chain" if chain.proven else "silent"
            confidence = interpolate(KNOTS[kind], chain.score)
            if confidence >= 0.05:
                yield self._chain(chain, kind, confidence)
                return
        yield from self._spreading(now)

    def _chain(self, chain: Chain, kind: str, confidence: float) -> Finding:
        why = f", each soon after it was given {chain.task}" if chain.task else ""
        return Finding(
            pattern=self.pattern,
            scope="cascade",
            confidence=confidence,
            sources=tuple(sorted(chain.workers)),
            root=chain.task or chain.workers[0],
            summary=f"{len(chain.workers)} workers died one after the other within {chain.last_at - chain.since:.0f} s{why}: {kind} steps {chain.steps} score {chain.score:.1f}"
            f"{', then '.join(chain.workers[:10])}",
            window_s=self.gates.time_window_s,
            sure=True,
            kind=kind,
            score=chain.score,
            evidence={"task": chain.task, "order": list(chain.workers)},
        )

    def _spreading(self, now: float) -> Iterable[Finding]:
        if now - self._looked_at >= _EVERY_S:
            self._looked_at = now
            if self._failing.suspects or self._calls._fresh:
                self._calls.roll(now, self._service_of)
                self._failing.roll(now)
                self._spread = self._spreads.worst(now)
            else:
                self._spread = None
        spread = self._spread
        if spread is None:
            return
        confidence = interpolate(KNOTS[spread.kind], spread.score)
        if confidence < 0.05:
            return
        sources = self._failing.sources(set(spread.services))
        yield Finding(
            pattern=self.pattern,
            scope="cascade",
            confidence=confidence,
            sources=tuple(sources),
            root=spread.root,
            summary=f"failures spread from {spread.root}: {spread.services} {spread.lasting_s:.0f} s doubt {spread.doubt} {spread.edges} score {spread.score:.1f}",
            window_s=self.gates.time_window_s,
            kind=spread.kind,
            score=spread.score,
            traces=tuple(self._traces),
        )

    def pause(self, gap_s: float) -> None:
        """A pause takes nothing away here: what was not observed is not counted."""

    def reset(self) -> None:
        self._losses.reset()
        self._failing.reset()
        self._calls.reset()
        self._spread = None

    def dump(self) -> dict[str, Any]:
        return {}

    def load(self, state: dict[str, Any]) -> None:
        self.reset()
