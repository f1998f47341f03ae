"""Failing services: whose work fails more often than it used to, by spans, by metrics and by logs."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from otel_monitor_processors.patterns.cascading_failures.error_rate import ErrorRate
from otel_monitor_processors.patterns.cascading_failures.failing_service import FailingService
from otel_monitor_processors.patterns.cascading_failures.failing_source import (
    COUNTS,
    LOGS,
    SPANS,
    Answers,
    FailingSource,
)

_MAX_SERVICES = 512
_MAX_SOURCES = 4_096
_KEPT_AT_LEAST = 2
_KEPT_SHARE = 0.05
_STRAY_SHARE = 0.2
_SHARED = 0.1
_LEAST_SHARED = 2
_LONGEST_EXPORT_S = 120.0


class FailingServices:
    """All services, and those of them that have failed of late."""

    def __init__(self, window_s: float) -> None:
        self.window_s = window_s
        self.dropped = 0
        self.began_at: float | None = None
        """Since when there is anything to see: a service known by its errors alone was well since then."""
        self.services: OrderedDict[str, FailingService] = OrderedDict()
        self.suspects: dict[str, None] = {}
        """Services with failures in the window."""
        self._database = [ErrorRate(window_s, 0.0) for _ in (SPANS, COUNTS, LOGS)]
        self._sources: OrderedDict[str, FailingSource] = OrderedDict()
        self._fresh: dict[str, list[float]] = {}
        """Answers since the last time: when first and last, how many, busy seconds, of how many, reports."""
        self._exports: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """When each source last exported metrics, and how long after the time before."""

    def of(self, service: str, at: float) -> FailingService:
        """The service of a name, from now on if it was not known."""
        known = self.services.get(service)
        if known is None:
            if len(self.services) >= _MAX_SERVICES:
                old, _ = self.services.popitem(last=False)
                self.suspects.pop(old, None)
                self.dropped += 1
            known = self.services[service] = FailingService(self.window_s, at)
        return known

    def add(self, call: Answers) -> None:
        """Count the answers of a source, and the failures among them; an error log is a failure without an answer."""
        at, name, source, channel, failures = (
            call.at,
            call.service or call.source,
            call.source,
            call.channel,
            call.failures,
        )
        if self.began_at is None:
            self.began_at = at
        known = self.of(name, self.began_at if channel == LOGS else at)
        if channel == LOGS:
            known.logs.add(at, failures)
        else:
            (known.spans if channel == SPANS else known.counts).add(at, call.calls, failures)
            if call.busy_s:
                known.took(call.busy_s / call.calls, 1)
        if call.unreached:
            known.unreached.add(at, call.unreached)
        if failures:
            self.suspects[name] = None
            self._source(source, name).add(at, channel, failures)
        if channel == COUNTS:
            interval_s = self._exported(source, at)
            if failures or source in self._sources:
                self._source(source, name).export(at, interval_s, call.calls, failures)

    def answered(self, at: float, name: str, calls: int, durations: list[float]) -> None:
        """Count answers of a service of which none has failed; they are taken in by `settle`."""
        fresh = self._fresh.get(name)
        if fresh is None:
            if self.began_at is None:
                self.began_at = at
            if len(self._fresh) >= _MAX_SERVICES:
                self.dropped += 1
                return
            fresh = self._fresh[name] = [at, at, 0, 0.0, 0, 0]
        fresh[1] = at
        fresh[2] += calls
        fresh[3] += sum(durations)
        fresh[4] += len(durations)
        fresh[5] += 1

    def settle(self, now: float) -> None:
        """Take in what has been answered well since the last time."""
        if self.began_at is None:
            self.began_at = now
        for name, (first, last, calls, busy_s, timed, times) in self._fresh.items():
            known = self.of(name, first)
            known.spans.add(last, int(calls), 0)
            if busy_s:
                known.took(busy_s / timed, int(times))
        self._fresh.clear()

    def database_failed(self, at: float, channel: int, failures: int) -> None:
        """Count failures of databases, and those of contention whatever failed."""
        self._database[channel].add(at, failures)

    def database_shares_in(self, names: list[str]) -> bool:
        """Whether databases have failed for a notable part as often as these services, by any channel."""
        services = [self.services[name] for name in names]
        hits = (
            max(service.spans.hits for service in services),
            max(service.counts.hits for service in services),
            max(service.logs.hits for service in services),
        )
        return any(
            rate.hits >= _LEAST_SHARED and rate.hits >= _SHARED * most
            for rate, most in zip(self._database, hits, strict=True)
        )

    def _exported(self, source: str, at: float) -> float:
        last_at, interval_s = self._exports.get(source, (0.0, 0.0))
        if at <= last_at:
            return interval_s
        if not last_at and len(self._exports) >= _MAX_SOURCES:
            self._exports.popitem(last=False)
            self.dropped += 1
        interval_s = at - last_at if at - last_at <= _LONGEST_EXPORT_S else 0.0
        self._exports[source] = (at, interval_s)
        return interval_s

    def _source(self, name: str, service: str) -> FailingSource:
        source = self._sources.get(name)
        if source is None:
            if len(self._sources) >= _MAX_SOURCES:
                self._sources.popitem(last=False)
                self.dropped += 1
            source = self._sources[name] = FailingSource(service)
        return source

    def roll(self, now: float) -> None:
        """Bring the suspects up to `now`; those that have calmed down are none any more."""
        for rate in self._database:
            rate.roll(now)
        for name in list(self.suspects):
            service = self.services[name]
            service.roll(now)
            if not service.hits:
                service.freeze(False)
                service.failing_since = None
                del self.suspects[name]
        for name in list(self._sources):
            source = self._sources[name]
            known = self.services.get(source.service)
            source.roll(now, self.window_s, known is not None and known.failing_since is not None)
            if not source.recent and not any(source.kept):
                del self._sources[name]

    def lasting_s(self, name: str) -> float:
        """For how long a service has been failing, by the events themselves; stray ones before do not count."""
        service = self.services[name]
        lasting = max(_span_s(service.spans.hits_by_bucket()), _span_s(service.logs.hits_by_bucket()))
        if service.counts.hits:
            counted = [source.counted_s for source in self._sources.values() if source.service == name]
            lasting = max(lasting, *counted, 0.0)
        return lasting

    def sources(self, names: set[str]) -> list[str]:
        """The instances of these services that have had a notable part in the failures."""
        failures = {name: source.failures for name, source in self._sources.items() if source.service in names}
        least = max(_KEPT_AT_LEAST, _KEPT_SHARE * max(failures.values(), default=0))
        return sorted(name for name, count in failures.items() if count >= least)

    def failures(self, name: str) -> int:
        return sum(source.failures for source in self._sources.values() if source.service == name)

    def reset(self) -> None:
        self.services.clear()
        self.suspects.clear()
        self._database = [ErrorRate(self.window_s, 0.0) for _ in (SPANS, COUNTS, LOGS)]
        self._sources.clear()
        self._exports.clear()
        self._fresh.clear()
        self.began_at = None
        self.dropped = 0

    def dump(self) -> dict[str, Any]:
        return {
            "dropped": self.dropped,
            "began_at": self.began_at,
            "services": [[name, service.dump()] for name, service in self.services.items()],
            "suspects": list(self.suspects),
            "database": [rate.dump() for rate in self._database],
            "sources": [[name, source.dump()] for name, source in self._sources.items()],
            "fresh": [[name, *counts] for name, counts in self._fresh.items()],
            "exports": [[name, *export] for name, export in self._exports.items()],
        }

    def load(self, state: dict[str, Any]) -> None:
        self.reset()
        self.dropped, self.began_at = state["dropped"], state["began_at"]
        for name, service in state["services"]:
            self.services[name] = FailingService.load(service)
        self.suspects = dict.fromkeys(state["suspects"])
        self._database = [ErrorRate.load(rate) for rate in state["database"]]
        for name, source in state["sources"]:
            self._sources[name] = FailingSource.load(source)
        self._fresh = {name: counts for name, *counts in state["fresh"]}
        for name, at, interval_s in state["exports"]:
            self._exports[name] = (at, interval_s)


def _span_s(buckets: Iterator[tuple[float, float, int]]) -> float:
    """From when, until when failures come, without the first fifth of them."""
    found = list(buckets)
    stray = math.floor(_STRAY_SHARE * sum(hits for _, _, hits in found))
    for begin, _, hits in found:
        stray -= hits
        if stray < 0:
            return found[-1][1] - begin
    return 0.0
