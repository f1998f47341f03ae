"""Load imbalance: some workers are given far more than what is usual for them, and others less."""

from __future__ import annotations

import re
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
from otel_monitor_processors.patterns.excess import Excess, Fleet, strongest
from otel_monitor_processors.patterns.exported_counts import ExportedCounts
from otel_monitor_processors.patterns.finding import Finding, Gates, Interests
from otel_monitor_processors.patterns.presence import Presence
from otel_monitor_processors.patterns.unrest import Unrest
from otel_monitor_processors.patterns.verdict import Pattern
from otel_monitor_processors.patterns.work import Doubt, There, Work
from otel_monitor_processors.tally import Tally

_MAX_FLEETS = 256
_MAX_EXPORTERS = 10_000
_MIN_WORKERS = 3
_ROLL_S = 5.0
_LOOK_S = 2.0
_FROZEN_AT = 0.3
_DOUBTFUL_AT = 0.5
_FLOW = 0.4
_WORK = "process"
_NOT_WORK = re.compile(
    r"heartbeat|(de)?register|assign|rebalance|handle_failure"
    r"|(\w+ )?/?(health\w*|live\w*|ready\w*|readyz|ping|metrics|status|actuator/.*|heartbeat|(de)?register)/?",
    re.IGNORECASE,
)
_CALLS, _COUNTED, _ASSIGNED, _SENT = "calls", "counted calls", "assignments", "requests"
_STRENGTHS: Knots = ((1.0, 0.02), (2.0, 0.15), (3.0, 0.5), (4.0, 0.72), (6.0, 0.92), (10.0, 0.97))
KNOTS: dict[str, Knots] = dict.fromkeys((_CALLS, _COUNTED, _ASSIGNED, _SENT), _STRENGTHS)

Key = tuple[str, str]
"""The sort of evidence and the service whose workers are meant."""


class LoadImbalance:
    """Compares the workers of one service, each with what is usual for it.

    The same work may show as ended calls, as counts in metrics, and as what was assigned or sent to each worker. They
    are kept apart, and the strongest counts; but where it is known what each worker is given, what it ends is not
    asked: a backlog is worked off long after the shares are right again.
    """

    pattern = Pattern.LOAD_IMBALANCE

    def __init__(self, gates: Gates | None = None) -> None:
        self.gates = gates or Gates()
        self.dropped = 0
        self._presence = Presence()
        self._unrest = Unrest()
        self._works: OrderedDict[Key, Work] = OrderedDict()
        self._exports: dict[str, ExportedCounts] = {}
        self._exporters: OrderedDict[str, ExportedCounts] = OrderedDict()
        self._with_roles: set[str] = set()
        self._assigners: set[str] = set()
        self._fresh: dict[Key, dict[str, float]] = {}
        self._found: dict[str, Finding] = {}
        self._doubts: dict[str, Doubt] = {}
        self._forgotten = 0
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
        if tally.database or not tally.work:
            return
        service = tally.service
        calls = self._work_among(service, tally.work)
        if calls:
            self._presence.works_for(tally.source, service)
            self._count((_CALLS, service), tally.source, calls)

    def _work_among(self, service: str, work: dict[str, list[float]]) -> float:
        if service in self._with_roles:
            part = work.get(_WORK)
            return part[0] if part is not None else 0.0
        if _WORK in work:
            self._learn_role(service)
            return work[_WORK][0]
        return sum(part[0] for name, part in work.items() if not _NOT_WORK.fullmatch(name))

    def _learn_role(self, service: str) -> None:
        if len(self._with_roles) < _MAX_FLEETS:
            self._with_roles.add(service)

    def _counted(self, count: OperationCount) -> None:
        if count.category is not None:
            self._unrest.failed(count.source, count.at, count.calls, count.category)
        self._unrest.called(count.calls)
        if count.database:
            return
        service, name = count.service, count.name
        if name == _WORK:
            self._learn_role(service)
        elif service in self._with_roles or _NOT_WORK.fullmatch(name):
            return
        exports = self._exports.get(service)
        if exports is None:
            if len(self._exports) >= _MAX_FLEETS:
                self._forgotten += 1
                return
            exports = self._exports[service] = ExportedCounts()
        if count.source not in self._exporters:
            self._exporters[count.source] = exports
            if len(self._exporters) > _MAX_EXPORTERS:
                self._exporters.popitem(last=False)
        exports.add(count.source, count.at, count.calls)

    def _point(self, point: MetricPoint) -> None:
        """An export in which nothing was counted tells as well: that there was nothing to count."""
        exports = self._exporters.get(point.source)
        if exports is not None:
            exports.exported(point.source, point.at)

    def _assignment(self, assignment: Assignment) -> None:
        if assignment.observer not in self._assigners and len(self._assigners) < _MAX_FLEETS:
            self._assigners.add(assignment.observer)
        service = self._presence.service_of(assignment.source) or ""
        self._count((_ASSIGNED, service), assignment.source, 1.0)

    def _link(self, link: Link) -> None:
        service = self._presence.service_of(link.peer)
        if service is None or service == link.service:
            return
        if not link.ok:
            self._presence.trouble(link.peer, link.at)
            self._unrest.failed(link.peer, link.at)
        elif link.source not in self._assigners:
            self._count((_SENT, service), link.peer, 1.0)

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
        for work in self._works.values():
            work.changed(membership.source, membership.at)

    def _count(self, key: Key, worker: str, calls: float) -> None:
        """Remember it until the second is over: within it, nothing depends on the order."""
        counts = self._fresh.get(key)
        if counts is None:
            counts = self._fresh[key] = {}
        counts[worker] = counts.get(worker, 0.0) + calls

    def _take_in(self, now: float) -> None:
        for key, counts in self._fresh.items():
            self._work(key).add(now, counts)
        self._fresh.clear()

    def _work(self, key: Key) -> Work:
        work = self._works.get(key)
        if work is None:
            if len(self._works) >= _MAX_FLEETS:
                self._works.popitem(last=False)
                self._forgotten += 1
            work = self._works[key] = Work()
        return work

    # -- what it means ----------------------------------------------------------------------------------

    def findings(self, now: float) -> Iterable[Finding]:
        """One finding per fleet."""
        if self._fresh:
            self._take_in(now)
        if now >= self._rolled + _ROLL_S or now < self._rolled:
            self._rolled = now
            self._unrest.roll(now)
            self._roll(now)
        if now >= self._looked + _LOOK_S or now < self._looked:
            self._looked = now
            self._look(now)
        return self._found.values() if self.gates.enabled else ()

    def _roll(self, now: float) -> None:
        for service, exports in self._exports.items():
            for at, counts in exports.close(now):
                for source in counts:
                    self._presence.works_for(source, service)
                self._work((_COUNTED, service)).add(at, counts)
        for key, work in self._works.items():
            work.roll(now, self._there(key), self._doubts.get(key[1], Doubt.NONE))

        self.dropped = self._forgotten + self._presence.dropped
        self.dropped += sum(work.dropped for work in self._works.values())
        self.dropped += sum(exports.dropped for exports in self._exports.values())

    def _there(self, key: Key) -> There:
        """Who counts as present. Whose exports do not arrive may be busy for all that their counts tell."""
        is_there = self._presence.is_there
        exports = self._exports.get(key[1]) if key[0] == _COUNTED else None
        if exports is None:
            return is_there
        return lambda name, since, now: exports.has_reported(name, since) and is_there(name, since, now)

    def _look(self, now: float) -> None:
        stands = {scope for scope, finding in self._found.items() if finding.confidence >= OPEN_AT}
        self._found = {}
        self._doubts = {}
        for key, work in self._works.items():
            if not work.suspects or not work.known:
                continue
            finding = self._judge(key, work, now, stands=_scope(key) in stands)
            if finding is None:
                continue
            other = self._found.get(finding.scope)
            if other is None or finding.confidence > other.confidence:
                self._found[finding.scope] = finding

    def _judge(self, key: Key, work: Work, now: float, *, stands: bool) -> Finding | None:
        if not stands and self._unrest.is_among(work.size, work.suspects, now):
            work.unsettle(now)
            self._doubts[key[1]] = Doubt.GRAVE
            return None
        there = self._there(key)
        suspicions = work.suspicions(now, there, stands=stands)
        if not suspicions or not self._tells(key, work):
            return None
        since = min(suspicion.since for suspicion in suspicions)
        present = work.present(since, now, there)
        if len(present) < _MIN_WORKERS:
            return None
        enough = [suspicion for suspicion in suspicions if suspicion.calls >= self.gates.min_events]
        excess = strongest(enough, Fleet(len(present), work.dispersion, work.concentration))
        if excess is None or len(excess.suspicions) < self.gates.failure_rate_threshold * len(present):
            return None
        finding = self._finding(key, excess, len(present), now)
        doubt = Doubt.GRAVE if finding is not None and finding.confidence >= _FROZEN_AT else Doubt.SLIGHT
        if excess.score >= _DOUBTFUL_AT:
            self._doubts[key[1]] = max(doubt, self._doubts.get(key[1], Doubt.NONE))
        return finding

    def _tells(self, key: Key, work: Work) -> bool:
        """Whether this sort of evidence is to be asked for this fleet."""
        kind, service = key
        if not service:  # it is not known whose workers they are: only if that is so of all workers
            return all(not other for sort, other in self._works if sort == kind)
        if kind in (_ASSIGNED, _SENT):
            return work.rate >= _FLOW * self._rate((_CALLS, service))
        given = max(self._rate((sort, service)) for sort in (_ASSIGNED, _SENT))
        return given < _FLOW * work.rate or (kind == _COUNTED and given < _FLOW * self._rate((_CALLS, service)))

    def _rate(self, key: Key) -> float:
        """Calls a second, as far as there is a past to compare with."""
        work = self._works.get(key)
        return work.rate if work is not None and work.known else 0.0

    def _finding(self, key: Key, excess: Excess, workers: int, now: float) -> Finding | None:
        kind, service = key
        confidence = interpolate(KNOTS[kind], excess.score)
        if confidence < 0.05:
            return None
        shares = {item.worker: item.calls / item.total for item in excess.suspicions}
        heaviest = max(sorted(shares), key=lambda worker: shares[worker])
        usual = sum(item.share for item in excess.suspicions)
        since = min(item.since for item in excess.suspicions)
        whom = heaviest if len(shares) == 1 else f"{len(shares)} workers, {heaviest} first,"
        return Finding(
            pattern=self.pattern,
            scope=_scope(key),
            confidence=confidence,
            sources=tuple(sorted(shares)),
            root=heaviest,
            kind=kind,
            score=excess.score,
            summary=(
                f"{whom} got {min(1.0, sum(shares.values())):.0%} of the {kind} among {workers} workers"
                f" of {service or 'one fleet'} in {now - since:.0f} s; usual is {usual:.0%}"
            ),
            window_s=max(self.gates.time_window_s, now - since),
            evidence={
                "kind": kind,
                "score": round(excess.score, 2),
                "since": since,
                "calls": round(sum(item.calls for item in excess.suspicions), 1),
                "total": round(max(item.total for item in excess.suspicions), 1),
                "workers": workers,
                "shares": {worker: round(share, 3) for worker, share in sorted(shares.items())[:50]},
                "usual": {item.worker: round(item.share, 3) for item in excess.suspicions[:50]},
            },
        )

    # -- state ------------------------------------------------------------------------------------------

    def pause(self, gap_s: float) -> None:
        """A pause takes nothing away here: what was not observed is not counted."""

    def reset(self) -> None:
        self.__init__(self.gates)  # type: ignore[misc]  # everything but the gates begins anew

    def dump(self) -> dict[str, Any]:
        services = {id(exports): service for service, exports in self._exports.items()}
        return {
            "dropped": [self.dropped, self._forgotten],
            "unrest": self._unrest.dump(),
            "presence": self._presence.dump(),
            "works": [[list(key), work.dump()] for key, work in self._works.items()],
            "exports": [[service, exports.dump()] for service, exports in self._exports.items()],
            "exporters": [[source, services[id(exports)]] for source, exports in self._exporters.items()],
            "roles": sorted(self._with_roles),
            "assigners": sorted(self._assigners),
            "doubts": list(self._doubts.items()),
            "found": [asdict(finding) | {"explains": []} for finding in self._found.values()],
            "fresh": [[list(key), list(counts.items())] for key, counts in self._fresh.items()],
            "rolled": self._rolled,
            "looked": self._looked,
        }

    def load(self, state: dict[str, Any]) -> None:
        self.reset()
        (self.dropped, self._forgotten), self._rolled = state["dropped"], state["rolled"]
        self._presence.load(state["presence"])
        self._unrest = Unrest.load(state["unrest"])
        for key, work in state["works"]:
            self._works[key[0], key[1]] = Work.load(work)
        self._exports = {service: ExportedCounts.load(exports) for service, exports in state["exports"]}
        self._exporters = OrderedDict((source, self._exports[service]) for source, service in state["exporters"])
        self._with_roles, self._assigners = set(state["roles"]), set(state["assigners"])
        self._looked = state["looked"]
        self._found = {found["scope"]: _loaded(found) for found in state["found"]}
        self._fresh = {(key[0], key[1]): dict(counts) for key, counts in state["fresh"]}
        self._doubts = {service: Doubt(doubt) for service, doubt in state["doubts"]}


def _loaded(found: dict[str, Any]) -> Finding:
    values = found | {"pattern": Pattern(found["pattern"]), "sources": tuple(found["sources"]), "traces": ()}
    return Finding(**values | {"explains": frozenset(found["explains"])})


def _scope(key: Key) -> str:
    return key[1] or "workers"
