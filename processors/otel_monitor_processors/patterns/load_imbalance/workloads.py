"""What tells who of a service does how much: calls, counts in metrics, assignments, requests; each kept apart."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from otel_monitor_processors.observation import Assignment, OperationCount
from otel_monitor_processors.patterns.load_imbalance.exported_counts import ExportedCounts
from otel_monitor_processors.patterns.load_imbalance.part import There
from otel_monitor_processors.patterns.load_imbalance.presence import Presence
from otel_monitor_processors.patterns.load_imbalance.work import Doubt, Work
from otel_monitor_processors.tally import Tally

CALLS, COUNTED, ASSIGNED, SENT = "calls", "counted calls", "assignments", "requests"
_MAX_FLEETS = 256
_MAX_EXPORTERS = 10_000
_FLOW = 0.4
_WORK = "process"
_NOT_WORK = re.compile(
    r"heartbeat|(de)?register|assign|rebalance|handle_failure"
    r"|(\w+ )?/?(health\w*|live\w*|ready\w*|readyz|ping|metrics|status|actuator/.*|heartbeat|(de)?register)/?",
    re.IGNORECASE,
)


class Fleet(NamedTuple):
    """The sort of evidence, and the service whose workers are meant: "" while that is not known."""

    kind: str
    service: str


class Workloads:
    """At most 256 fleets."""

    def __init__(self, presence: Presence) -> None:
        self._presence = presence
        self._forgotten = 0
        self._works: OrderedDict[Fleet, Work] = OrderedDict()
        self._exports: dict[str, ExportedCounts] = {}
        self._exporters: OrderedDict[str, ExportedCounts] = OrderedDict()
        self._with_roles: set[str] = set()
        self._assigners: set[str] = set()
        self._fresh: dict[tuple[str, str], dict[str, float]] = {}

    @property
    def dropped(self) -> int:
        """How much was let go for want of room."""
        works = sum(work.dropped for work in self._works.values())
        return self._forgotten + works + sum(exports.dropped for exports in self._exports.values())

    # -- what is seen -----------------------------------------------------------------------------------

    def ended(self, tally: Tally) -> None:
        """Calls of a worker have ended."""
        service = tally.service
        calls = self._work_among(service, tally.work)
        if calls:
            self._presence.works_for(tally.source, service)
            self._count(CALLS, service, tally.source, calls)

    def _work_among(self, service: str, work: Mapping[str, list[float]]) -> float:
        if service in self._with_roles:
            part = work.get(_WORK)
            return part[0] if part is not None else 0.0
        if _WORK in work:
            self._learn_role(service)
            return work[_WORK][0]
        return sum(part[0] for name, part in work.items() if _is_work(name))

    def _learn_role(self, service: str) -> None:
        if len(self._with_roles) < _MAX_FLEETS:
            self._with_roles.add(service)

    def counted(self, count: OperationCount) -> None:
        """Metrics have counted calls of a worker."""
        service, name = count.service, count.name
        if name == _WORK:
            self._learn_role(service)
        elif service in self._with_roles or not _is_work(name):
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

    def exported(self, source: str, at: float) -> None:
        """An export in which nothing was counted tells as well: that there was nothing to count."""
        exports = self._exporters.get(source)
        if exports is not None:
            exports.exported(source, at)

    def assigned(self, assignment: Assignment) -> None:
        """A worker was given a task."""
        if assignment.observer not in self._assigners and len(self._assigners) < _MAX_FLEETS:
            self._assigners.add(assignment.observer)
        service = self._presence.service_of(assignment.source) or ""
        self._count(ASSIGNED, service, assignment.source, 1.0)

    def sent(self, source: str, worker: str, service: str) -> None:
        """A worker of a service was sent a request, unless that is the same as an assignment."""
        if source not in self._assigners:
            self._count(SENT, service, worker, 1.0)

    def changed(self, name: str, at: float) -> None:
        """A worker has come or gone."""
        for work in self._works.values():
            work.changed(name, at)

    def _count(self, kind: str, service: str, worker: str, calls: float) -> None:
        """Remember it until the second is over: within it, nothing depends on the order."""
        counts = self._fresh.get((kind, service))
        if counts is None:
            counts = self._fresh[kind, service] = {}
        counts[worker] = counts.get(worker, 0.0) + calls

    def take_in(self, now: float) -> None:
        """The second is over."""
        if self._fresh:
            for (kind, service), counts in self._fresh.items():
                self._work(Fleet(kind, service)).add(now, counts)
            self._fresh.clear()

    def _work(self, fleet: Fleet) -> Work:
        work = self._works.get(fleet)
        if work is None:
            if len(self._works) >= _MAX_FLEETS:
                self._works.popitem(last=False)
                self._forgotten += 1
            work = self._works[fleet] = Work()
        return work

    # -- what there is ----------------------------------------------------------------------------------

    def roll(self, now: float, doubts: Mapping[str, Doubt]) -> None:
        """Let time pass; `doubts` by service."""
        for service, exports in self._exports.items():
            for at, counts in exports.close(now):
                for source in counts:
                    self._presence.works_for(source, service)
                self._work(Fleet(COUNTED, service)).add(at, counts)
        for fleet, work in self._works.items():
            work.roll(now, self.there(fleet), doubts.get(fleet.service, Doubt.NONE))

    def suspected(self) -> Iterator[tuple[Fleet, Work]]:
        """The fleets in which some worker seems to do too much."""
        return ((fleet, work) for fleet, work in self._works.items() if work.suspects)

    def there(self, fleet: Fleet) -> There:
        """Who counts as present. Whose exports do not arrive may be busy for all that their counts tell."""
        is_there = self._presence.is_there
        exports = self._exports.get(fleet.service) if fleet.kind == COUNTED else None
        if exports is None:
            return is_there
        return lambda name, since, now: exports.has_reported(name, since) and is_there(name, since, now)

    def tells(self, fleet: Fleet, work: Work) -> bool:
        """Whether this sort of evidence is to be asked for this fleet.

        Where it is known what each worker is given, what it ends is not asked: a backlog is worked off long after
        the shares are right again.
        """
        kind, service = fleet
        if not service:  # it is not known whose workers they are: only if that is so of all workers
            return all(not other.service for other in self._works if other.kind == kind)
        if kind in (ASSIGNED, SENT):
            return work.rate >= _FLOW * self._rate(CALLS, service)
        given = max(self._rate(sort, service) for sort in (ASSIGNED, SENT))
        return given < _FLOW * work.rate or (kind == COUNTED and given < _FLOW * self._rate(CALLS, service))

    def _rate(self, kind: str, service: str) -> float:
        """Calls a second, as far as there is a past to compare with."""
        work = self._works.get(Fleet(kind, service))
        return work.rate if work is not None and work.usual.known else 0.0

    # -- state ------------------------------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        services = {id(exports): service for service, exports in self._exports.items()}
        return {
            "forgotten": self._forgotten,
            "works": [[list(fleet), work.dump()] for fleet, work in self._works.items()],
            "exports": [[service, exports.dump()] for service, exports in self._exports.items()],
            "exporters": [[source, services[id(exports)]] for source, exports in self._exporters.items()],
            "roles": sorted(self._with_roles),
            "assigners": sorted(self._assigners),
            "fresh": [[list(fleet), list(counts.items())] for fleet, counts in self._fresh.items()],
        }

    def load(self, state: dict[str, Any]) -> None:
        self._forgotten = state["forgotten"]
        self._works = OrderedDict((Fleet(*fleet), Work.load(work)) for fleet, work in state["works"])
        self._exports = {service: ExportedCounts.load(exports) for service, exports in state["exports"]}
        self._exporters = OrderedDict((source, self._exports[service]) for source, service in state["exporters"])
        self._with_roles, self._assigners = set(state["roles"]), set(state["assigners"])
        self._fresh = {(kind, service): dict(counts) for (kind, service), counts in state["fresh"]}


@lru_cache(maxsize=1024)
def _is_work(name: str) -> bool:
    """Whether an operation of that name is a worker's own business, as far as its name tells."""
    return _NOT_WORK.fullmatch(name) is None
