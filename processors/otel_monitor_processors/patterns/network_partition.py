"""Network partition: both sides are alive, and cannot reach each other.

Two kinds of evidence. Views that contradict each other: an orchestrator has given up a worker whose own
telemetry shows it at work all the while (a killed worker's does not). And links: pairs that fail between two
sides while the pairs within each side work.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from otel_monitor_processors.observation import Change, Heartbeat, Link, Membership
from otel_monitor_processors.patterns.activity import Activity
from otel_monitor_processors.patterns.finding import Finding, Gates, Interests
from otel_monitor_processors.patterns.links import Cut, Links
from otel_monitor_processors.patterns.verdict import Pattern
from otel_monitor_processors.tally import Tally

_MAX_WORKERS = 4_096
_WATCH_S = 120.0
_MIN_ALIVE_S = 3
_ALIVE_WITHIN_S = 6
_ONE_CONFIDENCE = 0.75
_MORE_CONFIDENCE = 0.95


class NetworkPartition:
    """Detects sides that are both at work and do not reach each other."""

    pattern = Pattern.NETWORK_PARTITION

    def __init__(self, gates: Gates | None = None) -> None:
        self.gates = gates or Gates(time_window_s=30.0)
        self._links = Links(self.gates.time_window_s)
        self._activity: OrderedDict[str, Activity] = OrderedDict()
        self._given_up: dict[str, tuple[float, str]] = {}
        self._evicted = 0

    @property
    def dropped(self) -> int:
        return self._evicted + self._links.dropped

    @dropped.setter
    def dropped(self, value: int) -> None:
        self._evicted = value

    def interests(self) -> Interests:
        """Links, memberships, and any sign of life of the sources themselves."""
        return {Tally: self._tally, Link: self._link, Membership: self._member, Heartbeat: self._heartbeat}

    def _link(self, link: Link) -> None:
        self._links.add(link)

    def _heartbeat(self, heartbeat: Heartbeat) -> None:
        if self._given_up and heartbeat.source != heartbeat.observer:
            self._given_up.pop(heartbeat.source, None)

    def _tally(self, tally: Tally) -> None:
        work = sum([part[0] for name, part in tally.work.items() if name != "heartbeat"])
        if work <= tally.failed:
            return
        activity = self._activity.get(tally.source)
        if activity is None:
            if len(self._activity) >= _MAX_WORKERS:
                self._activity.popitem(last=False)
                self._evicted += 1
            activity = self._activity[tally.source] = Activity()
        activity.alive(tally.at)

    def _member(self, membership: Membership) -> None:
        if membership.source == membership.observer:
            return
        if membership.change is Change.LOST:
            self._given_up[membership.source] = (membership.at, membership.observer)
            if len(self._given_up) > _MAX_WORKERS:
                self._given_up.pop(next(iter(self._given_up)))
                self._evicted += 1
        else:
            self._given_up.pop(membership.source, None)

    def findings(self, now: float) -> Iterable[Finding]:
        """What the views and the links say at `now`."""
        if not self.gates.enabled:
            return
        cut_off: dict[str, str] = {}
        for worker, (at, observer) in list(self._given_up.items()):
            if now - at > _WATCH_S:
                del self._given_up[worker]
                continue
            activity = self._activity.get(worker)
            if activity is not None and activity.seconds_alive(at, at + _ALIVE_WITHIN_S) >= _MIN_ALIVE_S:
                cut_off[worker] = observer
        if cut_off:
            yield self._views(cut_off)
        cut = self._links.cut(now, self.gates.min_events)
        if cut is not None:
            yield self._split(cut)

    def _views(self, cut_off: dict[str, str]) -> Finding:
        workers, observers = tuple(sorted(cut_off)), tuple(sorted(set(cut_off.values())))
        verb = "works" if len(workers) == 1 else "work"
        return Finding(
            pattern=self.pattern,
            scope="views",
            confidence=_ONE_CONFIDENCE if len(workers) == 1 else _MORE_CONFIDENCE,
            sources=workers,
            summary=f"{', '.join(workers[:10])} {verb} on, though {', '.join(observers)} has given them up as lost",
            window_s=self.gates.time_window_s,
            explains=frozenset(workers),
            evidence={"sides": [list(workers), list(observers)]},
        )

    def _split(self, cut: Cut) -> Finding:
        smaller, larger = sorted(cut.sides, key=lambda side: (len(side), side))
        return Finding(
            pattern=self.pattern,
            scope="links",
            confidence=cut.confidence,
            sources=smaller,
            summary=(
                f"{', '.join(smaller[:10])} and {', '.join(larger[:10])} do not reach each other: "
                f"{cut.cross_failed:.0%} of the calls between them fail, {cut.within_failed:.0%} within"
            ),
            window_s=self.gates.time_window_s,
            explains=frozenset(smaller),
            evidence={
                "sides": [list(smaller), list(larger)],
                "cross_failed": round(cut.cross_failed, 3),
                "within_failed": round(cut.within_failed, 3),
                "log10_likelihood_ratio": round(cut.log10_ratio, 1),
            },
            traces=cut.traces,
        )

    def pause(self, gap_s: float) -> None:
        """A pause takes nothing away here: what was not observed is not counted."""

    def reset(self) -> None:
        self._links.reset()
        self._activity.clear()
        self._given_up.clear()
        self._evicted = 0

    def dump(self) -> dict[str, Any]:
        return {
            "dropped": self._evicted,
            "links": self._links.dump(),
            "activity": [[source, activity.dump()] for source, activity in self._activity.items()],
            "given_up": [[worker, at, observer] for worker, (at, observer) in self._given_up.items()],
        }

    def load(self, state: dict[str, Any]) -> None:
        self.reset()
        self._evicted = state["dropped"]
        self._links.load(state["links"])
        for source, seconds in state["activity"]:
            self._activity[source] = Activity.load(seconds)
        self._given_up = {worker: (at, observer) for worker, at, observer in state["given_up"]}
