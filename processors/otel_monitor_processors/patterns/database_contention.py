"""Database contention: sessions wait for each other's locks, and give up.

Both must move: the share of operations that end in a lock's error, and the durations' tail. A traffic spike
raises counts and a slow disk raises durations; only contention raises both. Sources without database spans
are judged by their operations, where an error of the category `contention` has come through.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from otel_monitor_processors.classification import Category
from otel_monitor_processors.observation import TraceRef
from otel_monitor_processors.patterns.finding import Finding, Gates, Interests
from otel_monitor_processors.patterns.share import Share, fleet_share
from otel_monitor_processors.patterns.tail import Tail
from otel_monitor_processors.patterns.verdict import Pattern
from otel_monitor_processors.statistics import confidence_bound
from otel_monitor_processors.tally import Tally

_MAX_SOURCES = 1_024
_MIN_HITS = 3
_ALARM_LOG10 = -4.0
_TAIL_LOG10 = -3.0
_FREEZE_LOG10 = -2.0
_UNTAILED = 0.7
_SUSPECTED = 0.3
_MAX_TRACES = 5
_EVERYBODY_SHARE = 0.5


class _Source:
    """One source's use of its database."""

    __slots__ = ("errors", "seen_database", "tail", "traces")

    def __init__(self, window_s: float) -> None:
        self.errors = Share(window_s)
        self.tail = Tail(window_s)
        self.seen_database = False
        self.traces: list[TraceRef] = []


class DatabaseContention:
    """Detects contention from errors of locks, deadlocks and serialisation, and from the waits before them."""

    pattern = Pattern.DATABASE_CONTENTION

    def __init__(self, gates: Gates | None = None) -> None:
        self.gates = gates or Gates(min_events=10, time_window_s=30.0)
        self.dropped = 0
        self._sources: OrderedDict[str, _Source] = OrderedDict()

    def interests(self) -> Interests:
        """Database operations; other operations only of sources that show no database spans."""
        return {Tally: self._take}

    def _take(self, tally: Tally) -> None:
        source = self._sources.get(tally.source)
        if source is None:
            source = self._add(tally.source)
        if tally.database:
            source.seen_database = True
        elif source.seen_database:
            return
        hits = tally.categories.get(Category.CONTENTION, 0)
        source.errors.add(tally.at, tally.calls, hits)
        source.tail.add(tally.at, tally.durations)
        if hits:
            source.traces = [*tally.traces.get(Category.CONTENTION, ()), *source.traces][:_MAX_TRACES]

    def _add(self, name: str) -> _Source:
        if len(self._sources) >= _MAX_SOURCES:
            self._sources.popitem(last=False)
            self.dropped += 1
        source = self._sources[name] = _Source(self.gates.time_window_s)
        return source

    def findings(self, now: float) -> Iterable[Finding]:
        """Contention over all sources together: a lock concerns whoever wants it."""
        if not self.gates.enabled or not self._sources:
            return
        fleet = fleet_share(source.errors for source in self._sources.values())
        hit: dict[str, _Source] = {}
        log10_p = tail_p = 0.0
        for name, source in self._sources.items():
            source.errors.roll(now)
            source.tail.roll(now)
            p = source.errors.log10_p(fleet)
            source.errors.frozen = source.tail.frozen = p < _FREEZE_LOG10
            if source.errors.hits:
                log10_p += p
                tail_p = min(tail_p, source.tail.log10_p())
                if p < _FREEZE_LOG10:
                    hit[name] = source
        if hit:
            yield from self._judge(hit, log10_p, tail_p)

    def _judge(self, hit: dict[str, _Source], log10_p: float, tail_p: float) -> Iterable[Finding]:
        hits = sum(source.errors.hits for source in hit.values())
        total = sum(source.errors.total for source in hit.values())
        share = hits / total
        if total < self.gates.min_events or share < self.gates.failure_rate_threshold:
            return
        log10_p += math.log10(max(1, len(self._sources)))
        confidence = confidence_bound(log10_p - _ALARM_LOG10 / 2)
        waited = tail_p < _TAIL_LOG10
        if not waited:
            confidence = min(confidence, _UNTAILED)
        if hits < _MIN_HITS:
            confidence = min(confidence, _SUSPECTED)
        names = tuple(sorted(hit))
        everybody = len(hit) >= max(2.0, _EVERYBODY_SHARE * len(self._sources))
        waits = "and their waits grow" if waited else "though their waits are as ever"
        yield Finding(
            pattern=self.pattern,
            scope="database",
            confidence=confidence,
            sources=names,
            summary=f"{hits} of {total} operations of {', '.join(names[:10])} gave up on a lock ({share:.0%}), {waits}",
            window_s=self.gates.time_window_s,
            explains=None if everybody else frozenset(names),
            evidence={
                "contention_errors": hits,
                "operations": total,
                "share": round(share, 4),
                "log10_p": round(log10_p, 2),
                "tail_log10_p": round(tail_p, 2),
            },
            traces=tuple(trace for source in hit.values() for trace in source.traces)[:_MAX_TRACES],
        )

    def pause(self, gap_s: float) -> None:
        """A pause takes nothing away here: what was not observed is not counted."""

    def reset(self) -> None:
        self._sources.clear()
        self.dropped = 0

    def dump(self) -> dict[str, Any]:
        return {
            "dropped": self.dropped,
            "sources": [
                [name, s.errors.dump(), s.tail.dump(), s.seen_database, [list(t) for t in s.traces]]
                for name, s in self._sources.items()
            ],
        }

    def load(self, state: dict[str, Any]) -> None:
        self.reset()
        self.dropped = state["dropped"]
        for name, errors, tail, seen_database, traces in state["sources"]:
            source = self._sources[name] = _Source(self.gates.time_window_s)
            source.errors, source.tail = Share.load(errors), Tail.load(tail)
            source.seen_database = seen_database
            source.traces = [TraceRef(*trace) for trace in traces]
