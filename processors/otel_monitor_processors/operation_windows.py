"""Sliding windows over operations: durations, failures, rates and exemplar traces, per source and operation."""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from otel_monitor_processors.alerts.alert import MAX_TRACES
from otel_monitor_processors.observation import Operation, Outcome, TraceRef
from otel_monitor_processors.statistics import LogSketch

_BUCKETS_PER_WINDOW = 12
_MAX_BUCKETS = 720
Key = tuple[str, str, str]
"""Service, source, operation."""


@dataclass(slots=True)
class Bucket:
    """What happened within one stretch of time."""

    index: int
    count: int = 0
    failed: int = 0
    total_s: float = 0.0
    longest_s: float = 0.0
    slowest: TraceRef | None = None
    failures: list[TraceRef] = field(default_factory=list)
    durations: LogSketch = field(default_factory=LogSketch)

    def add(self, operation: Operation) -> None:
        self.count += 1
        duration_s = operation.duration_s
        self.total_s += duration_s
        self.durations.add(duration_s)
        if duration_s >= self.longest_s:
            self.longest_s = duration_s
            self.slowest = operation.trace
        if operation.outcome is Outcome.FAILED:
            self.failed += 1
            if operation.trace is not None and len(self.failures) < MAX_TRACES:
                self.failures.append(operation.trace)


class Summary:
    """What a window holds of one series. Durations are only put together when somebody asks."""

    __slots__ = ("_buckets", "_durations", "count", "failed", "longest_s", "total_s")

    def __init__(self, buckets: list[Bucket]) -> None:
        self._buckets = buckets
        self._durations: LogSketch | None = None
        count = failed = 0
        total_s = longest_s = 0.0
        for bucket in buckets:
            count += bucket.count
            failed += bucket.failed
            total_s += bucket.total_s
            if bucket.longest_s > longest_s:
                longest_s = bucket.longest_s
        self.count, self.failed, self.total_s, self.longest_s = count, failed, total_s, longest_s

    def quantile_s(self, q: float) -> float:
        """The `q` quantile of the durations."""
        if self._durations is None:
            self._durations = LogSketch()
            for bucket in self._buckets:
                self._durations.merge(bucket.durations)
        return min(self._durations.quantile(q), self.longest_s)

    @property
    def slowest(self) -> tuple[TraceRef, ...]:
        """Traces of the slowest operations, the slowest first."""
        ranked = sorted(self._buckets, key=lambda bucket: -bucket.longest_s)
        return tuple(bucket.slowest for bucket in ranked if bucket.slowest is not None)[:MAX_TRACES]

    @property
    def failures(self) -> tuple[TraceRef, ...]:
        """Traces of failed operations, the newest first."""
        return tuple(trace for bucket in reversed(self._buckets) for trace in bucket.failures)[:MAX_TRACES]


class OperationWindows:
    """One ring of buckets per series; at most `max_series` of them, the longest idle one leaves first."""

    def __init__(self, shortest_window_s: float, longest_window_s: float, max_series: int) -> None:
        self._width_s = max(shortest_window_s / _BUCKETS_PER_WINDOW, longest_window_s / _MAX_BUCKETS)
        self._horizon_s = longest_window_s
        self._max_series = max_series
        self._rings: OrderedDict[Key, deque[Bucket]] = OrderedDict()
        self.dropped = 0
        self.changes = 0
        """How many operations were counted: what was worked out before one more is out of date."""

    def add(self, operation: Operation) -> None:
        """Count an operation; a cancelled one says nothing, nor one of which there is no share."""
        if operation.outcome is Outcome.CANCELLED or not operation.rated:
            return
        self.changes += 1
        key = (operation.service, operation.source, operation.name)
        ring = self._rings.get(key)
        if ring is None:
            ring = self._new_ring(key)
        index = int(operation.at // self._width_s)
        bucket = ring[-1] if ring else None
        if bucket is None or index > bucket.index:
            bucket = Bucket(index)
            ring.append(bucket)
            self._rings.move_to_end(key)
            self._expire(ring, operation.at)
        elif index < bucket.index:
            bucket = self._earlier(ring, index)
        bucket.add(operation)

    def _new_ring(self, key: Key) -> deque[Bucket]:
        if len(self._rings) >= self._max_series:
            self._rings.popitem(last=False)
            self.dropped += 1
        ring: deque[Bucket] = deque()
        self._rings[key] = ring
        return ring

    def _earlier(self, ring: deque[Bucket], index: int) -> Bucket:
        for position in range(len(ring) - 1, -1, -1):
            if ring[position].index == index:
                return ring[position]
            if ring[position].index < index:
                bucket = Bucket(index)
                ring.insert(position + 1, bucket)
                return bucket
        bucket = Bucket(index)
        ring.appendleft(bucket)
        return bucket

    def _expire(self, ring: deque[Bucket], now: float) -> None:
        oldest = int((now - self._horizon_s) // self._width_s)
        while ring and ring[0].index <= oldest:
            ring.popleft()

    def forget_idle(self, now: float) -> None:
        """Let go of every series whose last operation is past the longest window."""
        oldest = int((now - self._horizon_s) // self._width_s)
        while self._rings:
            key, ring = next(iter(self._rings.items()))
            if ring and ring[-1].index > oldest:
                return
            del self._rings[key]

    def may_last(self, key: Key, seconds: float, share: float, now: float, window_s: float) -> bool:
        """Whether that share of a series' operations may have taken so long: cheap, and mostly no."""
        count = longer = 0
        for bucket in self._buckets(key, now, window_s):
            count += bucket.count
            if bucket.longest_s >= seconds:
                longer += bucket.durations.above(seconds)
        return longer > 0 and longer >= share * count

    def series(self) -> list[Key]:
        return list(self._rings)

    def summary(self, key: Key, now: float, window_s: float) -> Summary | None:
        """What the last `window_s` seconds hold of one series, None when they are empty."""
        oldest, newest = self._span(now, window_s)
        buckets = [bucket for bucket in self._rings.get(key, ()) if oldest < bucket.index <= newest]
        return Summary(buckets) if buckets else None

    def _span(self, now: float, window_s: float) -> tuple[int, int]:
        """The buckets of a window: those after the first of these up to the second."""
        return math.floor((now - window_s) / self._width_s), int(now // self._width_s)

    def _buckets(self, key: Key, now: float, window_s: float) -> Iterator[Bucket]:
        oldest, newest = self._span(now, window_s)
        for bucket in self._rings.get(key, ()):
            if oldest < bucket.index <= newest:
                yield bucket

    def __len__(self) -> int:
        return len(self._rings)

    def dump(self) -> list[Any]:
        return [[list(key), [_dump_bucket(bucket) for bucket in ring]] for key, ring in self._rings.items()]

    def load(self, state: list[Any]) -> None:
        self._rings = OrderedDict((tuple(key), deque(_load_bucket(item) for item in ring)) for key, ring in state)


def _dump_bucket(bucket: Bucket) -> list[Any]:
    return [
        bucket.index,
        bucket.count,
        bucket.failed,
        bucket.total_s,
        bucket.longest_s,
        list(bucket.slowest) if bucket.slowest is not None else None,
        [list(trace) for trace in bucket.failures],
        sorted(bucket.durations.buckets.items()),
    ]


def _load_bucket(state: list[Any]) -> Bucket:
    durations = LogSketch()
    durations.buckets = {int(index): int(count) for index, count in state[7]}
    durations.count = sum(durations.buckets.values())
    slowest = TraceRef(*state[5]) if state[5] is not None else None
    failures = [TraceRef(*trace) for trace in state[6]]
    return Bucket(state[0], state[1], state[2], state[3], state[4], slowest, failures, durations)
