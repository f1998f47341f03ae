"""Cascading failures: the failure of one brings down the next.

Two kinds of evidence. A chain of losses: a worker is lost, its successor is given the same task, and is lost as
well. And a spread: source after source fails more often than it used to, one after the other, more of them
than chance allows.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from otel_monitor_processors.observation import Assignment, Change, ErrorLog, Heartbeat, Link, Membership, TraceRef
from otel_monitor_processors.patterns.finding import Finding, Gates, Interests
from otel_monitor_processors.patterns.losses import Chain, Losses
from otel_monitor_processors.patterns.share import Share, fleet_share
from otel_monitor_processors.patterns.verdict import Pattern
from otel_monitor_processors.statistics import confidence_bound, log10_choose
from otel_monitor_processors.tally import Tally

_MAX_SOURCES = 1_024
_ABNORMAL_LOG10 = -2.0
_MIN_HITS = 2
_MIN_ABNORMAL = 3
_SPREAD_S = 2.0
_MAX_TRACES = 5
_CHAIN_CONFIDENCE = {2: 0.75, 3: 0.95}


class _Source:
    """One source's failures, and since when they are abnormal."""

    __slots__ = ("abnormal_since", "failures", "first_failure", "traces")

    def __init__(self, window_s: float) -> None:
        self.failures = Share(window_s)
        self.abnormal_since: float | None = None
        self.first_failure: float | None = None
        self.traces: list[TraceRef] = []


class CascadingFailures:
    """Detects chains of losses and the spread of failures from source to source."""

    pattern = Pattern.CASCADING_FAILURES

    def __init__(self, gates: Gates | None = None) -> None:
        self.gates = gates or Gates(min_events=_MIN_ABNORMAL)
        self._evicted = 0
        self._sources: OrderedDict[str, _Source] = OrderedDict()
        self._losses = Losses()

    @property
    def dropped(self) -> int:
        return self._evicted + self._losses.dropped

    @dropped.setter
    def dropped(self, value: int) -> None:
        self._evicted = value

    def interests(self) -> Interests:
        """Failures of any kind, losses, and who was given which task."""
        return {
            Tally: self._tally,
            Link: self._link,
            ErrorLog: self._log,
            Assignment: self._losses.assigned,
            Membership: self._member,
            Heartbeat: self._heartbeat,
        }

    def _tally(self, tally: Tally) -> None:
        traces = [trace for refs in tally.traces.values() for trace in refs]
        self._count(tally.source, tally.at, tally.calls, tally.failed, traces)

    def _link(self, link: Link) -> None:
        if not link.ok:
            self._count(link.source, link.at, 1, 1, [link.trace] if link.trace is not None else [])

    def _log(self, log: ErrorLog) -> None:
        self._count(log.source, log.at, 1, 1, [log.trace] if log.trace is not None else [])

    def _member(self, membership: Membership) -> bool:
        if membership.source == membership.observer:
            return False
        if membership.change is Change.LOST:
            self._losses.lost(membership.source, membership.at)
            return True
        self._losses.back(membership.source)
        return False

    def _heartbeat(self, heartbeat: Heartbeat) -> None:
        self._losses.back(heartbeat.source)

    def _count(self, name: str, at: float, calls: int, failed: int, traces: list[TraceRef]) -> None:
        source = self._sources.get(name)
        if source is None:
            if len(self._sources) >= _MAX_SOURCES:
                self._sources.popitem(last=False)
                self._evicted += 1
            source = self._sources[name] = _Source(self.gates.time_window_s)
        source.failures.add(at, calls, failed)
        if failed:
            if source.first_failure is None:
                source.first_failure = at
            source.traces = [*traces, *source.traces][:_MAX_TRACES]

    def findings(self, now: float) -> Iterable[Finding]:
        """The longest chain, and the spread."""
        if not self.gates.enabled:
            return
        chain = self._losses.longest(now)
        if chain is not None:
            yield self._chain(chain)
        yield from self._spread(now)

    def _chain(self, chain: Chain) -> Finding:
        confidence = _CHAIN_CONFIDENCE.get(len(chain.workers), max(_CHAIN_CONFIDENCE.values()))
        return Finding(
            pattern=self.pattern,
            scope="losses",
            confidence=confidence,
            sources=tuple(sorted(chain.workers)),
            root=chain.task,
            summary=f"{' then '.join(chain.workers)} were lost, each soon after it was given {chain.task}",
            window_s=self.gates.time_window_s,
            sure=True,
            evidence={"task": chain.task, "order": list(chain.workers)},
        )

    def _spread(self, now: float) -> Iterable[Finding]:
        fleet = fleet_share(source.failures for source in self._sources.values())
        abnormal: dict[str, float] = {}
        for name, source in self._sources.items():
            failures = source.failures
            failures.roll(now)
            log10_p = failures.log10_p(fleet)
            bad = log10_p < _ABNORMAL_LOG10 and failures.hits >= _MIN_HITS
            failures.frozen = bad
            if not bad:
                source.abnormal_since = None
                if not failures.hits:
                    source.first_failure = None
                continue
            if source.abnormal_since is None:
                source.abnormal_since = source.first_failure or now
            if failures.share >= self.gates.failure_rate_threshold:
                abnormal[name] = log10_p
        if len(abnormal) >= self.gates.min_events:
            finding = self._spread_finding(abnormal)
            if finding is not None:
                yield finding

    def _spread_finding(self, abnormal: dict[str, float]) -> Finding | None:
        order = sorted(abnormal, key=lambda name: (self._sources[name].abnormal_since or 0.0, name))
        first, last = (self._sources[name].abnormal_since or 0.0 for name in (order[0], order[-1]))
        if last - first < _SPREAD_S:
            return None  # all at once: something that they share, not one after the other
        log10_p = sum(abnormal.values()) + log10_choose(len(self._sources), len(abnormal))
        return Finding(
            pattern=self.pattern,
            scope="spread",
            confidence=confidence_bound(log10_p),
            sources=tuple(sorted(order)),
            root=order[0],
            summary=(
                f"failures spread over {len(order)} of {len(self._sources)} sources within {last - first:.0f} s, "
                f"from {order[0]} on: {', '.join(order[:10])}"
            ),
            window_s=self.gates.time_window_s,
            evidence={"order": order[:50], "log10_p": round(log10_p, 2)},
            traces=tuple(trace for name in order for trace in self._sources[name].traces)[:_MAX_TRACES],
        )

    def pause(self, gap_s: float) -> None:
        """A pause takes nothing away here: what was not observed is not counted."""

    def reset(self) -> None:
        self._sources.clear()
        self._losses.reset()
        self._evicted = 0

    def dump(self) -> dict[str, Any]:
        return {
            "dropped": self._evicted,
            "losses": self._losses.dump(),
            "sources": [
                [name, s.failures.dump(), s.abnormal_since, s.first_failure, [list(trace) for trace in s.traces]]
                for name, s in self._sources.items()
            ],
        }

    def load(self, state: dict[str, Any]) -> None:
        self.reset()
        self._evicted = state["dropped"]
        self._losses.load(state["losses"])
        for name, failures, abnormal_since, first_failure, traces in state["sources"]:
            source = self._sources[name] = _Source(self.gates.time_window_s)
            source.failures = Share.load(failures)
            source.abnormal_since, source.first_failure = abnormal_since, first_failure
            source.traces = [TraceRef(*trace) for trace in traces]
