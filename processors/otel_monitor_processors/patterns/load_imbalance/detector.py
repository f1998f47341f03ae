"""Load imbalance: some workers are given far more than what is usual for them, and others less."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from otel_monitor_processors.observation import (
    Assignment,
    Change,
    Heartbeat,
    Link,
    Membership,
    MetricPoint,
    OperationCount,
)
from otel_monitor_processors.patterns.arbiter import OPEN_AT
from otel_monitor_processors.patterns.calibration import Knots, interpolate
from otel_monitor_processors.patterns.finding import Finding, Gates, Interests
from otel_monitor_processors.patterns.load_imbalance.excess import Excess, Odds, strongest
from otel_monitor_processors.patterns.load_imbalance.holdings import Holdings
from otel_monitor_processors.patterns.load_imbalance.presence import Presence
from otel_monitor_processors.patterns.load_imbalance.unrest import Unrest
from otel_monitor_processors.patterns.load_imbalance.wording import HELD, evidence, shares_of, summary
from otel_monitor_processors.patterns.load_imbalance.work import Doubt, Work
from otel_monitor_processors.patterns.load_imbalance.workloads import ASSIGNED, CALLS, COUNTED, SENT, Fleet, Workloads
from otel_monitor_processors.patterns.verdict import Pattern
from otel_monitor_processors.tally import Tally

_WORKER_ASSIGNED = "orchestrator.worker.assigned"
_WORKER_ID = "orchestrator.worker.id"
_MAX_OBSERVERS = 64
_MIN_WORKERS = 3
_ROLL_S = 5.0
_LOOK_S = 2.0
_FROZEN_AT = 0.3
_DOUBTFUL_AT = 0.5
_LEAST_CONFIDENCE = 0.05
_STRENGTHS: Knots = ((1.0, 0.02), (2.0, 0.1), (3.0, 0.3), (4.0, 0.55), (5.0, 0.78), (7.0, 0.92), (10.0, 0.98))
KNOTS: dict[str, Knots] = {
    CALLS: ((1.0, 0.03), (2.0, 0.2), (3.0, 0.4), (4.0, 0.55), (5.0, 0.68), (7.0, 0.75), (20.0, 0.9)),
    COUNTED: ((1.0, 0.03), (2.0, 0.2), (3.0, 0.4), (4.0, 0.6), (5.0, 0.7), (7.0, 0.9), (10.0, 0.92)),
    **dict.fromkeys((ASSIGNED, SENT), _STRENGTHS),
    HELD: ((2.0, 0.1), (3.0, 0.5), (4.0, 0.8), (6.0, 0.95)),
}


class LoadImbalance:
    """Compares the workers of one service, each with what is usual for it.

    The same work may show as ended calls, as counts in metrics, as what was assigned or sent to each worker, and as
    what each of them holds. They are kept apart, and the strongest counts.
    """

    pattern = Pattern.LOAD_IMBALANCE

    def __init__(self, gates: Gates | None = None) -> None:
        self.gates = gates or Gates()
        self.dropped = 0
        self._presence = Presence()
        self._unrest = Unrest()
        self._workloads = Workloads(self._presence)
        self._holdings: OrderedDict[str, Holdings] = OrderedDict()
        self._found: dict[str, Finding] = {}
        self._standing: set[Fleet] = set()
        self._doubts: dict[str, Doubt] = {}
        self._forgotten = 0
        self._exporter = ""
        self._exported_at = 0.0
        self._rolled = 0.0
        self._looked = 0.0

    def interests(self) -> Interests:
        """Whatever tells who has done how much, and who is there."""
        return {
            Tally: self._tally,
            OperationCount: self._counted,
            MetricPoint: self._point,
            Assignment: self._assignment,
            Link: self._link,
            Heartbeat: self._heartbeat,
            Membership: self._membership,
        }

    # -- what is seen -----------------------------------------------------------------------------------

    def _tally(self, tally: Tally) -> None:
        if tally.unrated:
            self._presence.trouble(tally.source, tally.at)
        self._unrest.called(tally.calls)
        if tally.failed:
            for category, failures in tally.categories.items():
                self._unrest.failed(tally.source, tally.at, failures, category)
        if tally.work and not tally.database:
            self._workloads.ended(tally)

    def _counted(self, count: OperationCount) -> None:
        if count.category is not None:
            self._unrest.failed(count.source, count.at, count.calls, count.category)
        self._unrest.called(count.calls)
        if not count.database:
            self._workloads.counted(count)

    def _point(self, point: MetricPoint) -> None:
        at, source = point.at, point.source
        if at != self._exported_at or source != self._exporter:  # an export has many points
            self._exported_at, self._exporter = at, source
            self._workloads.exported(source, at)
        if point.name == _WORKER_ASSIGNED:
            worker = dict(point.attributes).get(_WORKER_ID)
            if worker:
                self._held_by(source).add(worker, at, point.value)

    def _held_by(self, observer: str) -> Holdings:
        holdings = self._holdings.get(observer)
        if holdings is None:
            if len(self._holdings) >= _MAX_OBSERVERS:
                self._holdings.popitem(last=False)
                self._forgotten += 1
            holdings = self._holdings[observer] = Holdings()
        return holdings

    def _assignment(self, assignment: Assignment) -> None:
        self._workloads.assigned(assignment)

    def _link(self, link: Link) -> None:
        _, source, peer, ok, _, _, _, caller = link
        service = self._presence.service_of(peer)
        if service is None or service == caller:
            return
        if ok:
            self._workloads.sent(source, peer, service)
        else:
            self._presence.trouble(peer, link.at)
            self._unrest.failed(peer, link.at)

    def _heartbeat(self, heartbeat: Heartbeat) -> None:
        source = heartbeat.source
        if heartbeat.ok:
            self._presence.sign(source, heartbeat.at, by_others=heartbeat.observer not in (source, ""))
        else:
            self._presence.trouble(source, heartbeat.at)

    def _membership(self, membership: Membership) -> None:
        if membership.change is Change.JOINED:
            self._presence.sign(membership.source, membership.at, by_others=True)
        else:
            self._presence.left(membership.source)
        self._workloads.changed(membership.source, membership.at)

    # -- what it means ----------------------------------------------------------------------------------

    def findings(self, now: float) -> Iterable[Finding]:
        """One finding per fleet."""
        self._workloads.take_in(now)
        for holdings in self._holdings.values():
            if holdings.is_new:
                holdings.close(self._presence.is_there)
        if now >= self._rolled + _ROLL_S or now < self._rolled:
            self._rolled = now
            self._unrest.roll(now)
            self._workloads.roll(now, self._doubts)
            self.dropped = self._forgotten + self._workloads.dropped + self._presence.dropped
            self.dropped += sum(holdings.dropped for holdings in self._holdings.values())
        if now >= self._looked + _LOOK_S or now < self._looked:
            self._looked = now
            self._look(now)
        return self._found.values() if self.gates.enabled else ()

    def _look(self, now: float) -> None:
        stood, self._standing = self._standing, set()
        self._found = {}
        self._doubts = {}
        for fleet, work in self._workloads.suspected():
            self._keep(fleet, self._judge(fleet, work, now, stands=fleet in stood))
        for holdings in self._holdings.values():
            fleet = Fleet(HELD, self._service_of(holdings.suspects()))
            self._keep(fleet, self._judge_held(fleet, holdings, now, stands=fleet in stood))

    def _keep(self, fleet: Fleet, finding: Finding | None) -> None:
        if finding is None:
            return
        if finding.confidence >= OPEN_AT:
            self._standing.add(fleet)
        other = self._found.get(finding.scope)
        if other is None or finding.confidence > other.confidence:
            self._found[finding.scope] = finding

    def _service_of(self, workers: Iterable[str]) -> str:
        return next(filter(None, map(self._presence.service_of, workers)), "")

    def _judge(self, fleet: Fleet, work: Work, now: float, *, stands: bool) -> Finding | None:
        service = fleet.service
        if not stands and self._unrest.is_among(work.size, work.suspects, now):
            work.unsettle(now)
            self._doubts[service] = Doubt.GRAVE
            return None
        there = self._workloads.there(fleet)
        suspicions, workers = work.suspicions(
            now, there, self.gates.min_events, stands=stands, delayed=fleet.kind == COUNTED
        )
        if workers < _MIN_WORKERS or not suspicions or not self._workloads.tells(fleet, work):
            return None
        excess = strongest(suspicions, Odds(workers, work.usual.dispersion, work.usual.concentration(work.size)))
        if excess is None:
            return None
        finding = self._finding(fleet, excess, workers, now)
        doubt = Doubt.GRAVE if finding is not None and finding.confidence >= _FROZEN_AT else Doubt.SLIGHT
        if excess.score >= _DOUBTFUL_AT:
            self._doubts[service] = max(doubt, self._doubts.get(service, Doubt.NONE))
        return finding

    def _judge_held(self, fleet: Fleet, holdings: Holdings, now: float, *, stands: bool) -> Finding | None:
        if not stands and self._unrest.is_among(holdings.size, holdings.suspects(), now):
            holdings.unsettle(now)
            return None
        excess = holdings.excess(now)
        if excess is None:
            return None
        finding = self._finding(fleet, excess, holdings.size, now)
        if finding is not None and finding.confidence >= _FROZEN_AT:
            self._doubts[fleet.service] = Doubt.GRAVE
        return finding

    def _finding(self, fleet: Fleet, excess: Excess, workers: int, now: float) -> Finding | None:
        kind, service = fleet
        confidence = interpolate(KNOTS[kind], excess.score)
        few = len(excess.suspicions) < self.gates.failure_rate_threshold * workers
        if few or confidence < _LEAST_CONFIDENCE:
            return None
        shares = shares_of(excess)
        return Finding(
            pattern=self.pattern,
            scope=_scope(service),
            confidence=confidence,
            sources=tuple(sorted(shares)),
            root=next(iter(shares)),
            kind=kind,
            score=excess.score,
            summary=summary(kind, service, excess, workers, now),
            window_s=max(self.gates.time_window_s, now - min(item.since for item in excess.suspicions)),
            evidence=evidence(kind, excess, workers),
        )

    # -- state ------------------------------------------------------------------------------------------

    def pause(self, gap_s: float) -> None:
        """A pause takes nothing away here: what was not observed is not counted."""

    def reset(self) -> None:
        self.__init__(self.gates)  # type: ignore[misc]  # everything but the gates begins anew

    def dump(self) -> dict[str, Any]:
        return {
            "dropped": [self.dropped, self._forgotten],
            "unrest": self._unrest.dump(),
            "presence": self._presence.dump(),
            "workloads": self._workloads.dump(),
            "holdings": [[observer, holdings.dump()] for observer, holdings in self._holdings.items()],
            "doubts": list(self._doubts.items()),
            "found": [asdict(finding) | {"explains": []} for finding in self._found.values()],
            "standing": sorted(self._standing),
            "rolled": self._rolled,
            "looked": self._looked,
        }

    def load(self, state: dict[str, Any]) -> None:
        self.reset()
        self.dropped, self._forgotten = state["dropped"]
        self._rolled, self._looked = state["rolled"], state["looked"]
        self._presence.load(state["presence"])
        self._unrest = Unrest.load(state["unrest"])
        self._workloads.load(state["workloads"])
        self._holdings = OrderedDict((observer, Holdings.load(holdings)) for observer, holdings in state["holdings"])
        self._found = {found["scope"]: _loaded(found) for found in state["found"]}
        self._standing = {Fleet(*fleet) for fleet in state["standing"]}
        self._doubts = {service: Doubt(doubt) for service, doubt in state["doubts"]}


def _loaded(found: dict[str, Any]) -> Finding:
    values = found | {"pattern": Pattern(found["pattern"]), "sources": tuple(found["sources"]), "traces": ()}
    return Finding(**values | {"explains": frozenset(found["explains"])})


def _scope(service: str) -> str:
    return service or "workers"
