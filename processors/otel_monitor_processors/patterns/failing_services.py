"""Failing services: whose work fails more often than it used to, by spans, by metrics and by logs."""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Any, NamedTuple

from otel_monitor_processors.patterns.error_rate import ErrorRate
from otel_monitor_processors.patterns.share import Share

SPANS, COUNTS, LOGS = range(3)
"""Channels: what the same failures are told by. They are never added up, the strongest counts."""

_BUCKET_S = 5.0
_MAX_SERVICES = 512
_MAX_SOURCES = 4_096
_FLOOR = 0.005
_KEPT_AT_LEAST = 2
_KEPT_SHARE = 0.05
_STRAY_SHARE = 0.2
_SHARED = 0.1
_LEAST_SHARED = 2
_LONGEST_EXPORT_S = 120.0


class Answers(NamedTuple):
    """What a source has answered, as one channel tells it."""

    at: float
    service: str
    source: str
    channel: int
    calls: int
    failures: int
    unreached: int = 0
    """So many of the failures were not to have reached somebody."""
    busy_s: float = 0.0


class FailingSource:
    """One instance's failures: those of the last window, and since its service began to fail."""

    __slots__ = ("exported", "kept", "recent", "service")

    def __init__(self, service: str) -> None:
        self.service = service
        self.recent: deque[list[int]] = deque()
        """Bucket, and the failures in it by channel."""
        self.kept = [0, 0, 0]
        self.exported = [0.0, 0.0, 0.0, 0.0, 0.0]
        """Of metrics: the last export, the interval before it, its calls, its failures; when failures came first."""

    def add(self, at: float, channel: int, failures: int) -> None:
        index = int(at // _BUCKET_S)
        recent = self.recent
        if not recent or index > recent[-1][0]:
            recent.append([index, 0, 0, 0])
        recent[-1][1 + channel] += failures

    def roll(self, now: float, window_s: float, keep: bool) -> None:
        """Let go of what has left the window; while its service fails, remember how much that was."""
        oldest = int((now - window_s) // _BUCKET_S)
        recent = self.recent
        while recent and recent[0][0] <= oldest:
            bucket = recent.popleft()
            if keep:
                for channel in (SPANS, COUNTS, LOGS):
                    self.kept[channel] += bucket[1 + channel]
        if not keep:
            self.kept = [0, 0, 0]

    def export(self, at: float, interval_s: float, calls: int, failures: int) -> None:
        """One point of an export; several of them, of the same time, make up one."""
        exported = self.exported
        if at > exported[0]:
            exported[:4] = [at, interval_s, 0.0, 0.0]
        exported[2] += calls
        exported[3] += failures
        if failures and not exported[4]:
            exported[4] = at

    @property
    def failures(self) -> int:
        """Failures as the most complete channel tells them."""
        return max(
            kept + sum([bucket[1 + channel] for bucket in self.recent]) for channel, kept in enumerate(self.kept)
        )

    @property
    def counted_s(self) -> float:
        """How long its metrics prove that it has failed, in seconds."""
        at, interval_s, calls, failures, first_at = self.exported
        if not failures:
            return 0.0
        return max(at - first_at, interval_s * failures / calls)

    def dump(self) -> list[Any]:
        return [self.service, list(map(list, self.recent)), self.kept, self.exported]

    @classmethod
    def load(cls, state: list[Any]) -> FailingSource:
        source = cls(state[0])
        source.recent = deque(list(bucket) for bucket in state[1])
        source.kept, source.exported = list(state[2]), list(state[3])
        return source


class FailingService:
    """One service's failures against its own past."""

    __slots__ = ("counts", "failing_since", "logs", "pace", "seen_since", "spans", "unreached")

    def __init__(self, window_s: float, at: float) -> None:
        self.spans = Share(window_s)
        self.counts = Share(window_s)
        self.logs = ErrorRate(window_s, at)
        self.unreached = ErrorRate(window_s, at)
        """Failures to reach somebody, however told."""
        self.pace = Share(window_s)
        """Calls and the milliseconds they took."""
        self.seen_since = at
        self.failing_since: float | None = None

    def roll(self, now: float) -> None:
        self.spans.roll(now)
        self.counts.roll(now)
        self.logs.roll(now)
        self.unreached.roll(now)
        self.pace.roll(now)

    def freeze(self, frozen: bool) -> None:
        self.spans.frozen = self.counts.frozen = self.logs.frozen = self.pace.frozen = frozen

    @property
    def hits(self) -> int:
        return max(self.spans.hits, self.counts.hits, self.logs.hits)

    @property
    def score(self) -> float:
        """How improbable so many failures are by chance, as -log10 p; the strongest channel."""
        return max(-self.spans.log10_p(_FLOOR), -self.counts.log10_p(_FLOOR), -self.logs.log10_p)

    @property
    def total(self) -> int:
        """Calls that it has answered in the window, well or not."""
        return self.spans.total + self.counts.total

    @property
    def slowness(self) -> float:
        """How many times as long as in the past its calls take."""
        pace = self.pace
        if not pace.total or not pace.past_hits:
            return 1.0
        return pace.share * pace.past_events / pace.past_hits

    @property
    def fails_itself(self) -> bool:
        """Whether most of its failures are other than not to have reached somebody."""
        return self.unreached.hits < 0.5 * (self.spans.hits + self.counts.hits + self.logs.hits)

    @property
    def only_logs_own(self) -> bool:
        """Whether it is known by its logs alone, and these tell of errors of its own."""
        return not self.spans.hits and not self.counts.hits and not self.unreached.hits

    def dump(self) -> list[Any]:
        parts = (self.spans, self.counts, self.pace, self.logs, self.unreached)
        return [*(part.dump() for part in parts), self.seen_since, self.failing_since]

    @classmethod
    def load(cls, state: list[Any]) -> FailingService:
        service = cls(1.0, 0.0)
        service.spans, service.counts, service.pace = (Share.load(part) for part in state[:3])
        service.logs, service.unreached = (ErrorRate.load(part) for part in state[3:5])
        service.seen_since, service.failing_since = state[5:]
        return service


class FailingServices:
    """All services, and those of them that have failed of late."""

    def __init__(self, window_s: float) -> None:
        self.window_s = window_s
        self.dropped = 0
        self.services: OrderedDict[str, FailingService] = OrderedDict()
        self.suspects: dict[str, None] = {}
        """Services with failures in the window."""
        self._database = [ErrorRate(window_s, 0.0) for _ in (SPANS, COUNTS, LOGS)]
        self._sources: OrderedDict[str, FailingSource] = OrderedDict()
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
        at, name, source, channel, failures = call.at, call.service or call.source, call.source, call.channel, call.failures
        known = self.of(name, at)
        if channel == LOGS:
            known.logs.add(at, failures)
        else:
            (known.spans if channel == SPANS else known.counts).add(at, call.calls, failures)
            if call.busy_s:
                known.pace.add(at, call.calls, int(call.busy_s * 1e3))
        if call.unreached:
            known.unreached.add(at, call.unreached)
        if failures:
            self.suspects[name] = None
            self._source(source, name).add(at, channel, failures)
        if channel == COUNTS:
            interval_s = self._exported(source, at)
            if failures or source in self._sources:
                self._source(source, name).export(at, interval_s, call.calls, failures)

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
        self.dropped = 0

    def dump(self) -> dict[str, Any]:
        return {
            "dropped": self.dropped,
            "services": [[name, service.dump()] for name, service in self.services.items()],
            "suspects": list(self.suspects),
            "database": [rate.dump() for rate in self._database],
            "sources": [[name, source.dump()] for name, source in self._sources.items()],
            "exports": [[name, *export] for name, export in self._exports.items()],
        }

    def load(self, state: dict[str, Any]) -> None:
        self.reset()
        self.dropped = state["dropped"]
        for name, service in state["services"]:
            self.services[name] = FailingService.load(service)
        self.suspects = dict.fromkeys(state["suspects"])
        self._database = [ErrorRate.load(rate) for rate in state["database"]]
        for name, source in state["sources"]:
            self._sources[name] = FailingSource.load(source)
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
