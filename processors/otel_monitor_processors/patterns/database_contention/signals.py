"""Contention signals: errors of locks and leaps of durations, service by service and by the way they became known.

Spans, metrics and log records tell of the same operations: each way is counted by itself, and the one that
says most is believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from otel_monitor_processors.classification import Category
from otel_monitor_processors.observation import ErrorLog, OperationCount
from otel_monitor_processors.patterns.database_contention.hits import WINDOWS, Hits
from otel_monitor_processors.patterns.database_contention.tail import Tail
from otel_monitor_processors.statistics import log10_choose
from otel_monitor_processors.tally import Tally

_MAX_SERVICES = 64
_LEAST_SHARE = 0.005
_LEAST_WAITS = 0.01
_LEAST_RATE = 1.0 / 120.0
_PRIOR_EVENTS = 60.0
_PRIOR_S = 60.0
_MAX_AT_ONCE = 3
_STILL_QUICK = 0.15
_UNSURE = 1.0
_LENIENT = 3.0


class Way(StrEnum):
    """How errors of locks, or waits, became known."""

    DATABASE_SPANS = "database_spans"
    OPERATION_SPANS = "operation_spans"
    DATABASE_COUNTS = "database_counts"
    OPERATION_COUNTS = "operation_counts"
    HEARTBEATS = "heartbeats"
    COUNTERS = "counters"
    LOGS = "logs"
    SPANS_SLOW = "spans_slow"
    COUNTS_SLOW = "counts_slow"


_BY_TIME = frozenset((Way.HEARTBEATS, Way.COUNTERS, Way.LOGS))
_SLOW = frozenset((Way.SPANS_SLOW, Way.COUNTS_SLOW))
_CONTENTION = Category.CONTENTION
_DATABASE_SPANS, _OPERATION_SPANS, _SPANS_SLOW = Way.DATABASE_SPANS, Way.OPERATION_SPANS, Way.SPANS_SLOW
"""Python 3.11 looks members of enums up slowly."""


class Strength(NamedTuple):
    """What the services' signals of one kind come to.

    `score`: -log10 p over all services; `hits` among `events` in the window that tells most, of
    `window_s`; `split`: whether other calls are as quick as ever.
    """

    score: float = 0.0
    hits: int = 0
    events: int = 0
    window_s: float = 0.0
    split: bool = False


class ContentionSignals:
    """The hits of at most 64 services; those of more are kept together."""

    def __init__(self, bucket_s: float) -> None:
        self.dropped = 0
        self._bucket_s = bucket_s
        self._hits: dict[tuple[str, Way], Hits] = {}
        self._tails: dict[tuple[str, Way], Tail] = {}
        self._services: set[str] = set()
        self._hot: dict[tuple[str, Way], float] = {}
        self._scores: dict[tuple[str, Way], tuple[float, float, int, float, int]] = {}
        self._since: float | None = None
        self.learning = True

    def _add(self, at: float, service: str, way: Way, events: int, hits: int, others: int = 0) -> None:
        key = (service, way)
        counted = self._hits.get(key)
        if counted is None:
            key, counted = self._open(at, service, way)
        counted.add(at, events, hits, others)
        if hits > 0:
            self._hot[key] = max(at, self._hot.get(key, at))
            self._scores.pop(key, None)

    def _open(self, at: float, service: str, way: Way) -> tuple[tuple[str, Way], Hits]:
        """The hits of a service that has none of this kind yet, or is one too many."""
        if self._since is None:
            self._since = at
        if service not in self._services:
            if len(self._services) >= _MAX_SERVICES:
                self.dropped += 1
                service = ""
            self._services.add(service)
        key = (service, way)
        counted = self._hits.get(key)
        if counted is None:
            counted = self._hits[key] = self._make(way, max(0.0, at - self._since))
        return key, counted

    def _make(self, way: Way, past_s: float) -> Hits:
        if way in _BY_TIME:
            return Hits(self._bucket_s, floor=_LEAST_RATE, prior=_PRIOR_S, by_time=True, past_s=past_s)
        return Hits(self._bucket_s, floor=_LEAST_WAITS if way in _SLOW else _LEAST_SHARE, prior=_PRIOR_EVENTS)

    # -- input ------------------------------------------------------------------------------------------

    def take_tally(self, tally: Tally) -> int:
        """Count a source's second; how often it was hit."""
        at, service = tally.at, tally.service
        hits = tally.categories.get(_CONTENTION, 0)
        way = _DATABASE_SPANS if tally.database else _OPERATION_SPANS
        worst = hits
        if tally.calls:
            self._add(at, service, way, tally.calls, hits)
        if tally.database:
            leapt, slower, quick = self._tail(service, _SPANS_SLOW).split(tally.durations, learn=self.learning)
            leapt = max(0, leapt - slower - tally.failed)  # who gave up is counted as that
            self._add(at, service, _SPANS_SLOW, len(tally.durations), leapt, quick)
            worst += leapt
        missed = tally.unrated.get(_CONTENTION, 0)
        if missed:
            self._add(at, service, Way.HEARTBEATS, 0, min(missed, _MAX_AT_ONCE))
        return worst + missed

    def take_count(self, count: OperationCount) -> int:
        """Count what a metric has counted; how often its source was hit."""
        hits = count.calls if count.category is Category.CONTENTION else 0
        way = Way.DATABASE_COUNTS if count.database else Way.OPERATION_COUNTS
        self._add(count.at, count.service, way, count.calls, hits)
        if not count.database or not count.calls or count.category is not None:
            return hits
        tail = self._tail(count.service, Way.COUNTS_SLOW)
        leapt, _, quick = tail.split((count.busy_s / count.calls,), learn=self.learning)
        self._add(count.at, count.service, Way.COUNTS_SLOW, 1, leapt, quick)
        return leapt

    def take_errors(self, at: float, service: str, errors: float) -> None:
        """Count errors of locks that a counter has counted."""
        self._add(at, service, Way.COUNTERS, 0, min(round(errors), _MAX_AT_ONCE))

    def take_log(self, log: ErrorLog) -> None:
        """Count a log record of such an error."""
        self._add(log.at, log.service, Way.LOGS, 0, 1)

    def _tail(self, service: str, way: Way) -> Tail:
        tail = self._tails.get((service, way))
        if tail is None:
            key = (service if service in self._services else "", way)
            tail = self._tails.setdefault(key, Tail())
        return tail

    # -- output -----------------------------------------------------------------------------------------

    def strengths(self, now: float) -> tuple[Strength, Strength]:
        """How strong the errors are, and how strong the waits."""
        horizon = now - WINDOWS[-1] * self._bucket_s
        best: dict[tuple[str, bool], tuple[float, int, tuple[str, Way]]] = {}
        for key in [key for key, last in self._hot.items() if last < horizon]:
            del self._hot[key]
            self._scores.pop(key, None)
            self._hits[key].settle()
        fading = self._fading(now)
        for key in self._hot:
            _, strength, scale, _, _ = self._scores[key]
            score = strength * fading[key[0]]
            kind = (key[0], key[1] in _SLOW)
            known = best.get(kind)
            if score > 0.0 and (known is None or (score, key) > (known[0], known[2])):
                best[kind] = (score, scale, key)
        errors = self._together([found for (_, slow), found in best.items() if not slow], now)
        waits = self._together([found for (_, slow), found in best.items() if slow], now)
        self.learning = errors.score < _UNSURE and waits.score < _UNSURE
        return errors, waits

    def _fading(self, now: float) -> dict[str, float]:
        """By service, how far to believe that hits still come: the way with the most hits knows best."""
        richest: dict[str, tuple[int, float]] = {}
        for key in self._hot:
            known = self._scores.get(key)
            if known is None or now - known[0] >= self._bucket_s:
                counted = self._hits[key]
                score, scale = counted.score(now)
                lasting = counted.goes_on(now, scale) if score > 0.0 else 1.0
                known = self._scores[key] = (now, score, scale, lasting, counted.window(now, WINDOWS[-1]).hits)
            richest[key[0]] = max(richest.get(key[0], (0, 1.0)), (known[4], known[3]))
        return {service: min(1.0, _LENIENT * lasting) for service, (_, lasting) in richest.items()}

    def _together(self, found: Sequence[tuple[float, int, tuple[str, Way]]], now: float) -> Strength:
        """The services that say most, less the price of having chosen them."""
        if not found:
            return Strength()
        found = sorted(found, reverse=True)
        total = best = 0.0
        for number, (score, _, _) in enumerate(found, 1):
            total += score
            best = max(best, total - log10_choose(len(self._services), number))
        scale = found[0][1]
        hits = events = after = quick = 0
        for _, _, other in found:
            count = self._hits[other].window(now, scale)
            hits += count.hits
            events += count.events
            late, others = self._hits[other].beside(now, scale)
            after += late
            quick += others
        split = quick >= max(2, _STILL_QUICK * after)
        return Strength(best, hits, events, scale * self._bucket_s, split)

    def suspect(self, now: float, window_s: float) -> None:
        """What the window holds is no normal state."""
        for key in self._hot:
            self._hits[key].suspect(now, max(1, round(window_s / self._bucket_s)))

    def settle(self) -> None:
        """The contention is over."""
        for key in self._hot:
            self._hits[key].settle()
        self._scores.clear()

    # -- state ------------------------------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        return {
            "dropped": self.dropped,
            "bucket_s": self._bucket_s,
            "hits": [[service, way, counted.dump()] for (service, way), counted in self._hits.items()],
            "tails": [[service, way, tail.dump()] for (service, way), tail in self._tails.items()],
            "services": sorted(self._services),
            "hot": [[service, way, last] for (service, way), last in self._hot.items()],
            "scores": [[service, way, *score] for (service, way), score in self._scores.items()],
            "since": self._since,
            "learning": self.learning,
        }

    @classmethod
    def load(cls, state: dict[str, Any]) -> ContentionSignals:
        signals = cls(state["bucket_s"])
        signals.dropped = state["dropped"]
        signals._hits = {(service, Way(way)): Hits.load(item) for service, way, item in state["hits"]}
        signals._tails = {(service, Way(way)): Tail.load(item) for service, way, item in state["tails"]}
        signals._services = set(state["services"])
        signals._hot = {(service, Way(way)): last for service, way, last in state["hot"]}
        signals._scores = {
            (service, Way(way)): (at, score, scale, lasting, hits)
            for service, way, at, score, scale, lasting, hits in state["scores"]
        }
        signals._since = state["since"]
        signals.learning = state["learning"]
        return signals
