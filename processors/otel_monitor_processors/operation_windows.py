"""Sliding windows over operations: durations, failures, rates and exemplar traces, per source and operation."""

from __future__ import annotations

import math
from array import array
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from otel_monitor_processors.alerts.alert import MAX_TRACES
from otel_monitor_processors.observation import Operation, Outcome, TraceRef
from otel_monitor_processors.statistics import LogSketch

_BUCKETS_PER_WINDOW = 12
_MAX_BUCKETS = 720
_FEW = 128
_ALMOST = 0.95
"""A sketch is not further off than this."""
_FAILED, _CANCELLED = Outcome.FAILED, Outcome.CANCELLED
"""Python 3.11 looks members of enums up slowly."""
Key = tuple[str, str, str]
"""Service, source, operation."""


class Bucket:
    """What happened within one stretch of time.

    Durations are kept as they are while there are few of them, as they are seldom asked for, and a single one not
    apart from `longest_s`.
    """

    __slots__ = ("_durations", "count", "failed", "failures", "index", "longest_s", "slowest", "total_s")

    def __init__(self, index: int) -> None:
        self.index = index
        self.count = 0
        self.failed = 0
        self.total_s = 0.0
        self.longest_s = 0.0
        self.slowest: TraceRef | None = None
        self.failures: tuple[TraceRef, ...] = ()
        self._durations: array[float] | LogSketch | None = None

    def add(self, duration_s: float, trace: TraceRef | None) -> None:
        durations = self._durations
        if durations is not None:
            durations.append(duration_s)
            if self.count == _FEW:
                self.sketch()
        elif self.count:
            self._durations = array("d", (self.longest_s, duration_s))
        self.total_s = self.total_s + duration_s if self.count else duration_s
        self.count += 1
        if duration_s >= self.longest_s:
            self.longest_s = duration_s
            self.slowest = trace

    def fail(self, trace: TraceRef | None) -> None:
        """The operation that was added has failed."""
        self.failed += 1
        if trace is not None and len(self.failures) < MAX_TRACES:
            self.failures += (trace,)

    def above(self, seconds: float) -> int:
        """How many may count as `seconds` or more, once they are sketched; of a bucket in which one took so long."""
        durations = self._durations
        if durations is None:
            return 1
        if isinstance(durations, LogSketch):
            return durations.above(seconds)
        least_s = _ALMOST * seconds
        return sum([duration_s >= least_s for duration_s in durations])

    def sketch(self) -> LogSketch:
        """Its durations, kept as a sketch from now on where there are several."""
        durations = self._durations
        if isinstance(durations, LogSketch):
            return durations
        sketch = LogSketch()
        for duration_s in (self.longest_s,) if durations is None else durations:
            sketch.append(duration_s)
        if durations is not None:
            self._durations = sketch
        return sketch

    def dump(self) -> list[Any]:
        return [
            self.index,
            self.count,
            self.failed,
            self.total_s,
            self.longest_s,
            list(self.slowest) if self.slowest is not None else None,
            [list(trace) for trace in self.failures],
            self.sketch().dump(),
        ]

    @classmethod
    def load(cls, state: list[Any]) -> Bucket:
        bucket = cls(state[0])
        bucket.count, bucket.failed, bucket.total_s, bucket.longest_s, slowest, failures, durations = state[1:]
        bucket.slowest = TraceRef(*slowest) if slowest is not None else None
        bucket.failures = tuple(TraceRef(*trace) for trace in failures)
        bucket._durations = LogSketch.load(durations) if bucket.count > 1 else None
        return bucket


class Summary:
    """What a window holds of one series, put together when somebody asks."""

    __slots__ = ("_buckets", "_durations")

    def __init__(self, buckets: list[Bucket]) -> None:
        self._buckets = buckets
        self._durations: LogSketch | None = None

    @property
    def count(self) -> int:
        return sum([bucket.count for bucket in self._buckets])

    @property
    def failed(self) -> int:
        return sum([bucket.failed for bucket in self._buckets])

    @property
    def total_s(self) -> float:
        return sum([bucket.total_s for bucket in self._buckets])

    @property
    def longest_s(self) -> float:
        return max([bucket.longest_s for bucket in self._buckets])

    def quantile_s(self, q: float) -> float:
        """The `q` quantile of the durations."""
        if self._durations is None:
            self._durations = LogSketch()
            for bucket in self._buckets:
                self._durations.merge(bucket.sketch())
        return min(self._durations.quantile(q), self.longest_s)

    def may_last(self, seconds: float, share: float) -> bool:
        """Whether that share of the operations may have taken so long: cheap, and mostly no."""
        longer = sum([bucket.above(seconds) for bucket in self._buckets if bucket.longest_s >= seconds])
        return longer > 0 and longer >= share * self.count

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
        self._rings: OrderedDict[Key, list[Bucket]] = OrderedDict()
        self._newest = 0
        self.dropped = 0
        self.changes = 0
        """How many operations were counted: what was worked out before one more is out of date."""

    def add(self, operation: Operation) -> None:
        """Count an operation; a cancelled one says nothing, nor one of which there is no share."""
        at, source, name, outcome, duration_s, _, trace, service, _, rated = operation
        if outcome is _CANCELLED or not rated:
            return
        self.changes += 1
        key = (service, source, name)
        ring = self._rings.get(key) or self._new_ring(key)
        index = int(at // self._width_s)
        bucket = ring[-1] if ring and ring[-1].index == index else self._bucket(key, ring, index, at)
        bucket.add(duration_s, trace)
        if outcome is _FAILED:
            bucket.fail(trace)

    def _new_ring(self, key: Key) -> list[Bucket]:
        if len(self._rings) >= self._max_series:
            self._rings.popitem(last=False)
            self.dropped += 1
        ring = self._rings[key] = []
        return ring

    def _bucket(self, key: Key, ring: list[Bucket], index: int, at: float) -> Bucket:
        """The bucket of that number, the newest or an earlier one; put in where there is none yet."""
        position = len(ring)
        while position and ring[position - 1].index > index:
            position -= 1
        if position and ring[position - 1].index == index:
            return ring[position - 1]
        if index != self._newest:
            self._newest = index
        bucket = Bucket(self._newest)  # the same number, not an equal one, in all series
        ring.insert(position, bucket)
        if ring[-1] is bucket:
            self._rings.move_to_end(key)
            self._expire(ring, at)
        return bucket

    def _expire(self, ring: list[Bucket], now: float) -> None:
        oldest = int((now - self._horizon_s) // self._width_s)
        while ring[0].index <= oldest:
            del ring[0]

    def forget_idle(self, now: float) -> None:
        """Let go of every series whose last operation is past the longest window."""
        oldest = int((now - self._horizon_s) // self._width_s)
        while self._rings:
            key, ring = next(iter(self._rings.items()))
            if ring and ring[-1].index > oldest:
                return
            del self._rings[key]

    def summaries(self, now: float, window_s: float) -> Iterator[tuple[Key, Summary | None]]:
        """What the last `window_s` seconds hold of each series."""
        oldest, newest = self._span(now, window_s)
        for key, ring in self._rings.items():
            buckets = self._window(ring, oldest, newest)
            yield key, Summary(buckets) if buckets else None

    def summary(self, key: Key, now: float, window_s: float) -> Summary | None:
        """What the last `window_s` seconds hold of one series, None when they are empty."""
        buckets = self._window(self._rings.get(key, []), *self._span(now, window_s))
        return Summary(buckets) if buckets else None

    def _span(self, now: float, window_s: float) -> tuple[int, int]:
        """The buckets of a window: those after the first of these up to the second."""
        return math.floor((now - window_s) / self._width_s), int(now // self._width_s)

    @staticmethod
    def _window(ring: list[Bucket], oldest: int, newest: int) -> list[Bucket]:
        first, end = 0, len(ring)
        while first < end and ring[first].index <= oldest:
            first += 1
        while first < end and ring[end - 1].index > newest:
            end -= 1
        return ring[first:end]

    def __len__(self) -> int:
        return len(self._rings)

    def dump(self) -> list[Any]:
        return [[list(key), [bucket.dump() for bucket in ring]] for key, ring in self._rings.items()]

    def load(self, state: list[Any]) -> None:
        self._rings = OrderedDict((tuple(key), [Bucket.load(item) for item in ring]) for key, ring in state)
