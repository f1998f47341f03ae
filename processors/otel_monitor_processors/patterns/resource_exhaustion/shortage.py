"""Shortages: operations that failed for want of a resource, source by source."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from otel_monitor_processors.classification import Category
from otel_monitor_processors.observation import OperationCount, TraceRef
from otel_monitor_processors.patterns.share import Share
from otel_monitor_processors.tally import Tally

WINDOW_S = 60.0
_MAX_SOURCES = 1_024
_MAX_TRACES = 5
_FREEZE_LOG10 = -2.0
_FADE_EVENTS = 50_000.0
_PRIOR_EVENTS = 200.0
_FLOOR = 0.005
_MIN_HITS = 3
_RESOURCE = Category.RESOURCE
"""Python 3.11 looks members of enums up slowly."""


class Shortage:
    """The operations of one source that has run short at least once, from then on."""

    __slots__ = ("log10_p", "share", "traces")

    def __init__(self) -> None:
        self.share = Share(WINDOW_S)
        self.traces: tuple[TraceRef, ...] = ()
        self.log10_p = 0.0

    @property
    def hits(self) -> int:
        return self.share.hits

    @property
    def total(self) -> int:
        return self.share.total


class Shortages:
    """Of sources that never ran short nothing is kept but what they add to the fleet's total.

    Spans and metrics count the same operations, and are kept apart: keys say which.
    """

    def __init__(self) -> None:
        self._found: OrderedDict[tuple[str, bool], Shortage] = OrderedDict()
        self._events = 0.0
        self._hits = 0.0

    def take(self, tally: Tally) -> int:
        """The operations of a source within a second; how many sources were let go for it."""
        hits = tally.categories.get(_RESOURCE, 0)
        shortage, dropped = self._add((tally.source, False), tally.at, tally.calls, hits)
        if hits and shortage is not None:
            shortage.traces = (*tally.traces.get(Category.RESOURCE, ()), *shortage.traces)[:_MAX_TRACES]
        return dropped

    def count(self, count: OperationCount) -> int:
        """The operations of a source as its metrics count them; likewise."""
        hits = count.calls if count.category is Category.RESOURCE else 0
        _, dropped = self._add((count.source, True), count.at, count.calls, hits)
        return dropped

    def _add(self, key: tuple[str, bool], at: float, events: int, hits: int) -> tuple[Shortage | None, int]:
        shortage = self._found.get(key)
        if shortage is None and not hits:
            self._events += events
            if self._events > _FADE_EVENTS:
                self._events /= 2.0
                self._hits /= 2.0
            return None, 0
        dropped = 0
        if shortage is None:
            if len(self._found) >= _MAX_SOURCES:
                self._found.popitem(last=False)
                dropped = 1
            shortage = self._found[key] = Shortage()
        shortage.share.add(at, events, hits)
        return shortage, dropped

    def found(self, now: float, min_events: int, least_share: float) -> Iterator[tuple[str, Shortage]]:
        """The sources that run short of something now, each with the stronger of its two records."""
        best: dict[str, Shortage] = {}
        fleet = max(_FLOOR, self._hits / (self._events + _PRIOR_EVENTS))
        for (source, _), shortage in self._found.items():
            share = shortage.share
            if not share.hits:
                continue
            share.roll(now)
            shortage.log10_p = share.log10_p(fleet)
            share.frozen = shortage.log10_p < _FREEZE_LOG10
            if share.hits < _MIN_HITS or share.total < min_events or share.share < least_share:
                continue
            if source not in best or shortage.log10_p < best[source].log10_p:
                best[source] = shortage
        yield from sorted(best.items())

    def dump(self) -> dict[str, Any]:
        return {
            "found": [
                [source, counted, shortage.share.dump(), [list(trace) for trace in shortage.traces]]
                for (source, counted), shortage in self._found.items()
            ],
            "events": self._events,
            "hits": self._hits,
        }

    def load(self, state: dict[str, Any]) -> None:
        self._events, self._hits = state["events"], state["hits"]
        self._found.clear()
        for source, counted, share, traces in state["found"]:
            shortage = self._found[source, counted] = Shortage()
            shortage.share = Share.load(share)
            shortage.traces = tuple(TraceRef(*trace) for trace in traces)
