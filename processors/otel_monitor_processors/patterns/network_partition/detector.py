"""Network partition: both sides are alive, and cannot reach each other.

Pairs that fail between two sides while the pairs within each side work. That those cut off are alive, they show
themselves: by what they record of their own failed calls, by the work that they go on with, by their metrics.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from otel_monitor_processors.classification import Category
from otel_monitor_processors.observation import (
    ORCHESTRATOR_PEER,
    Assignment,
    Change,
    DatabaseOperation,
    Heartbeat,
    Link,
    Membership,
    MetricPoint,
    Operation,
    OperationCount,
    Outcome,
    TraceRef,
)
from otel_monitor_processors.patterns.calibration import Knots, interpolate
from otel_monitor_processors.patterns.finding import Finding, Gates, Interests
from otel_monitor_processors.patterns.network_partition.activity import Fleet
from otel_monitor_processors.patterns.network_partition.duplicates import Duplicates
from otel_monitor_processors.patterns.network_partition.links import Links
from otel_monitor_processors.patterns.network_partition.reach import COUNTED, Cut, best_cut, healed
from otel_monitor_processors.patterns.verdict import Pattern
from otel_monitor_processors.tally import Tally

KNOTS: dict[str, Knots] = {
    "several": ((2.0, 0.02), (6.0, 0.5), (10.0, 0.9), (20.0, 0.98)),
    "one": ((2.0, 0.02), (8.0, 0.4), (12.0, 0.8), (20.0, 0.9)),
    "own": ((4.0, 0.05), (7.0, 0.5), (12.0, 0.6), (20.0, 0.7)),
    "inward": ((2.0, 0.02), (8.0, 0.2), (13.0, 0.35), (20.0, 0.6), (40.0, 0.94)),
}
"""Scores are decades of evidence for a cut, less those for its best rival."""

_EVERY_S = 2.0
_SURE = 0.9
_LESS_OFTEN = 2.5
"""What is sure needs no second look so soon."""
_HOLD_S = 20.0
_FORGET_S = 900.0
_MAX_TRACES = 5
_PROCESS = "process"
_ERRORS = "orchestrator.errors"
_CATEGORY = "otel_monitor.error.category"
_OK = Outcome.OK
_UNREACHED = (Category.NETWORK, Category.TIMEOUT, Category.WORKER_LOST)


class NetworkPartition:
    """Detects sides that are both at work and do not reach each other."""

    pattern = Pattern.NETWORK_PARTITION

    def __init__(self, gates: Gates | None = None) -> None:
        self.gates = gates or Gates(time_window_s=30.0)
        self._links = Links()
        self._fleet = Fleet()
        self._duplicates = Duplicates()
        self._counts: dict[str, list[float]] = {}
        self._evaluated = 0.0
        self._forgiven = 0.0
        self._finding: Finding | None = None
        self._found_at = 0.0

    @property
    def dropped(self) -> int:
        return self._fleet.dropped + self._links.dropped + self._duplicates.dropped

    @dropped.setter
    def dropped(self, value: int) -> None:
        self._links.dropped = value

    # -- input ------------------------------------------------------------------------------------------

    def interests(self) -> Interests:
        """Links, memberships, and any sign of life of the sources themselves."""
        return {
            Tally: self._tally,
            Operation: self._operation,
            Link: self._link,
            DatabaseOperation: self._database,
            Membership: self._member,
            Heartbeat: self._heartbeat,
            Assignment: self._assignment,
            MetricPoint: self._metric,
            OperationCount: self._count,
        }

    def _link(self, link: Link) -> None:
        at, source, peer, ok, duration_s, _, trace, service = link
        if ok:
            self._links.work(source, peer, at - duration_s)
        else:
            self._links.fail(source, peer, at - duration_s, at, 1, trace)
            self._fleet.alive(source, at, service)
            if peer == ORCHESTRATOR_PEER:
                self._fleet.member(source).worker = True

    def _database(self, operation: DatabaseOperation) -> None:
        began = operation.at - operation.duration_s
        if operation.outcome is _OK:
            self._links.work(operation.source, operation.system, began)
        elif operation.category is Category.NETWORK:
            self._links.fail(operation.source, operation.system, began, operation.at, 1, operation.trace)

    def _operation(self, operation: Operation) -> None:
        if operation.name == _PROCESS and operation.task_id is not None:
            self._duplicates.done(operation.task_id, operation.source, operation.at)

    def _tally(self, tally: Tally) -> None:
        self._fleet.alive(tally.source, tally.at, tally.service)

    def _heartbeat(self, heartbeat: Heartbeat) -> None:
        if heartbeat.source == heartbeat.observer or not heartbeat.observer:
            self._fleet.alive(heartbeat.source, heartbeat.at)
            self._fleet.member(heartbeat.source).exported = heartbeat.at
        else:
            member = self._fleet.reports(heartbeat.source, heartbeat.observer)
            member.heard = max(member.heard, heartbeat.at)

    def _assignment(self, assignment: Assignment) -> None:
        self._fleet.reports(assignment.source, assignment.observer)

    def _member(self, membership: Membership) -> None:
        if membership.source == membership.observer:
            return
        member = self._fleet.reports(membership.source, membership.observer)
        if membership.change is Change.LOST:
            member.given_up = membership.at
        else:
            member.given_up = -math.inf
            self._fresh(membership.source)

    def _fresh(self, worker: str) -> None:
        """It has been taken in or has left: whatever could not reach it before says nothing any more."""
        gone = [pair for pair, _ in self._links.failing() if worker in pair] if len(self._links) else []
        self._links.forgive(gone)

    def _metric(self, point: MetricPoint) -> None:
        if point.name != _ERRORS or point.value <= 0.0:
            return
        if dict(point.attributes).get(_CATEGORY) in _UNREACHED:
            self._add(point.source, point.at, point.value)

    def _count(self, count: OperationCount) -> None:
        if count.category in _UNREACHED and not count.database and count.name != "heartbeat":
            self._add(count.source, count.at, -count.calls)

    def _add(self, source: str, at: float, errors: float) -> None:
        """Errors of a source in one export that are not those of its operations: of its own messages, then."""
        known = self._counts.get(source)
        if known is None or known[0] != at:
            known = self._counts[source] = [at, 0.0]
        known[1] += errors

    # -- findings ---------------------------------------------------------------------------------------

    def findings(self, now: float) -> Iterable[Finding]:
        """What the pairs say at `now`."""
        if not self.gates.enabled:
            return
        if self._counts:
            self._take_counts()
        sure = self._finding is not None and self._finding.confidence > _SURE
        every_s = _EVERY_S * (_LESS_OFTEN if sure else 1.0)
        if (self._links.news or self._finding is not None) and now - self._evaluated >= every_s:
            self._evaluated = now
            self._links.news = False
            self._evaluate(now)
        if now - self._forgiven > 60.0:
            self._forgiven = now
            self._links.forgive([pair for pair, edge in self._links.failing() if edge.ended < now - _FORGET_S])
        if self._finding is not None:
            yield self._finding

    def _take_counts(self) -> None:
        for source, (at, errors) in self._counts.items():
            if errors > 0:
                self._links.fail(source, COUNTED, at - 1.0, at, int(errors))
        self._counts.clear()

    def _evaluate(self, now: float) -> None:
        cut = best_cut(self._links, self._fleet, now, self.gates.time_window_s) if len(self._links) else None
        found = self._judge(cut, now) if cut is not None and not healed(cut, self._links, self._fleet, now) else None
        if found is not None and found.confidence >= 0.3:
            self._finding, self._found_at = found, now
        elif self._finding is None or now - self._found_at > _HOLD_S or self._finding.confidence < 0.3:
            self._finding = found

    def _judge(self, cut: Cut, now: float) -> Finding | None:
        named, others = self._sides(cut)
        if not named or len(named) < self.gates.failure_rate_threshold * len(self._fleet.members):
            return None
        outward = any(way.source in named for way in cut.crossing)
        if self._fleet.sole_narrator:
            if len(named) < 2 and not outward:
                return None  # that one has crashed, more likely
            kind = "own"
        else:
            kind = "inward" if not outward else "several" if len(named) > 1 else "one"
        failures = sum(way.edge.run for way in cut.crossing)
        confidence = interpolate(KNOTS[kind], cut.score)
        if confidence < 0.05 or failures < self.gates.min_events:
            return None
        twice = self._duplicates.since(cut.since)
        both = f"; {twice} tasks are worked on on both sides" if twice else ""
        traces = [way.edge.trace for way in cut.crossing if way.edge.trace is not None]
        return Finding(
            pattern=self.pattern,
            scope="network",
            confidence=confidence,
            sources=named,
            summary=(
                f"{', '.join(named[:10])} and {', '.join(others[:10])} do not reach each other: "
                f"{failures} calls between them have failed since {now - cut.since:.0f} s, "
                f"though all of them are alive{both}"
            ),
            window_s=now - cut.since,
            root=named[0],
            explains=frozenset(named),
            kind=kind,
            score=cut.score,
            evidence={
                "sides": [list(named), list(others)],
                "failed_between": failures,
                "broken_pairs": len(cut.crossing),
                "tasks_on_both_sides": twice,
                "log10_evidence": round(cut.evidence, 1),
                "log10_rivals": round(cut.rivals, 1),
            },
            traces=tuple(traces[:_MAX_TRACES]),
        )

    def _sides(self, cut: Cut) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The side that is cut off, and the other one: that with who receives heartbeats, else the larger one."""
        sides = [cut.side, cut.nodes - cut.side]
        hubs = self._fleet.observers.keys() or self._hubs(cut) | {ORCHESTRATOR_PEER}
        weights = [(len(side & hubs), len(side), sorted(side)) for side in sides]
        inner, outer = (sides[0], sides[1]) if weights[0] <= weights[1] else (sides[1], sides[0])
        hit = {node for way in cut.crossing for node in (way.source, way.peer)}
        callers = {way.source for way in cut.crossing} | cut.proven
        named = [node for node in sorted(inner) if node in hit and node in self._fleet.members and node in callers]
        peers = {peer for _, peer in self._links.pairs()}
        workers = [node for node in named if self._fleet.members[node].worker or node in peers]
        called = [node for node in named if self._fleet.members[node].service in peers]
        return tuple(workers or (() if called else named)), tuple(node for node in sorted(outer) if node in hit)

    def _hubs(self, cut: Cut) -> set[str]:
        """Whoever has to do with the most others."""
        others: dict[str, set[str]] = {}
        for source, peer in self._links.pairs():
            node = self._fleet.node(source, peer)
            if source in cut.nodes and node in cut.nodes:
                others.setdefault(source, set()).add(node)
                others.setdefault(node, set()).add(source)
        if not others:
            return set()
        hub = max(sorted(others), key=lambda node: len(others[node]))
        return {hub}

    # -- state ------------------------------------------------------------------------------------------

    def pause(self, gap_s: float) -> None:
        """A pause takes nothing away here: what was not observed is not counted."""

    def reset(self) -> None:
        self._links.reset()
        self._fleet.reset()
        self._duplicates.reset()
        self._counts.clear()
        self._evaluated = self._forgiven = self._found_at = 0.0
        self._finding = None

    def dump(self) -> dict[str, Any]:
        return {
            "links": self._links.dump(),
            "fleet": self._fleet.dump(),
            "duplicates": self._duplicates.dump(),
            "counts": [[source, *count] for source, count in self._counts.items()],
            "times": [self._evaluated, self._forgiven, self._found_at],
            "finding": _dump(self._finding) if self._finding is not None else None,
        }

    def load(self, state: dict[str, Any]) -> None:
        self.reset()
        self._links.load(state["links"])
        self._fleet.load(state["fleet"])
        self._duplicates.load(state["duplicates"])
        self._counts = {source: [at, errors] for source, at, errors in state["counts"]}
        self._evaluated, self._forgiven, self._found_at = state["times"]
        self._finding = _load(state["finding"]) if state["finding"] is not None else None


def _dump(finding: Finding) -> dict[str, Any]:
    values = {field.name: getattr(finding, field.name) for field in fields(finding)}
    traces = [list(trace) for trace in finding.traces]
    return {**values, "sources": list(finding.sources), "explains": list(finding.sources), "traces": traces}


def _load(state: dict[str, Any]) -> Finding:
    values = dict(state)
    values["pattern"] = Pattern(values["pattern"])
    values["sources"] = tuple(values["sources"])
    values["explains"] = frozenset(values["explains"])
    values["traces"] = tuple(TraceRef(*trace) for trace in values["traces"])
    return Finding(**values)
