"""Our own aggregation: what a call adds to a metric, at a twentieth of the stock SDK's cost.

A recorded value goes into a cell of its key, under a lock that nothing foreign is called under. At each
collection the cells are handed over whole, and the SDK's aggregations take them in (`folding`).
"""

from __future__ import annotations

from bisect import bisect_left
from threading import RLock
from time import time_ns
from typing import Generic, TypeVar

from opentelemetry.trace import SpanContext

from otel_monitor.telemetry.instruments import DURATION_BUCKETS_S, MAX_SERIES, Counter, Histogram, Instrument, Key

OVERFLOW: Key = ("\0overflow",)
"""The key of everything beyond the limit of series. No attribute value of ours holds a NUL."""

Exemplar = tuple[float, int, SpanContext]
"""Value, time in unix nanoseconds, and the sampled span."""


class HistogramCell:
    """What one key has seen since the last collection."""

    __slots__ = ("counts", "exemplars", "maximum", "minimum", "started_ns", "total")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * buckets
        self.exemplars: dict[int, Exemplar] = {}
        self.maximum = float("-inf")
        self.minimum = float("inf")
        self.started_ns = time_ns()
        self.total = 0.0


class CounterCell:
    """What one key has counted since the last collection."""

    __slots__ = ("exemplar", "started_ns", "total")

    def __init__(self) -> None:
        self.exemplar: Exemplar | None = None
        self.started_ns = time_ns()
        self.total: float = 0


Cell = TypeVar("Cell", HistogramCell, CounterCell)


class _Aggregate(Generic[Cell]):
    """The cells of one instrument."""

    __slots__ = ("_cells", "_lock", "instrument", "overflowed")

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.overflowed = 0
        self._cells: dict[Key, Cell] = {}
        self._lock = RLock()  # guards the cells; re-entrant for signal handlers that call wrapped methods

    def drain(self) -> dict[Key, Cell]:
        """Hand the cells over and start with none, in the order in which their keys appeared."""
        with self._lock:
            cells, self._cells = self._cells, {}
        return cells

    def reset_after_fork(self) -> None:
        """In a child: what the parent has counted is the parent's, and its lock may be held for ever."""
        self._lock = RLock()
        self._cells = {}

    def _place(self, key: Key) -> Key:
        if len(self._cells) < MAX_SERIES:
            return key
        self.overflowed += 1
        return OVERFLOW


class HistogramAggregate(_Aggregate[HistogramCell]):
    """A histogram with the bucket boundaries of all our durations."""

    __slots__ = ("direct",)

    def __init__(self, instrument: Instrument) -> None:
        super().__init__(instrument)
        self.direct: Histogram | None = None
        """Where values go instead when a reader wants what buckets cannot give."""

    def record(self, value: float, key: Key = (), span: SpanContext | None = None) -> None:
        if self.direct is not None:
            self.direct.record(value, key, span)
            return
        with self._lock:
            cell = self._cells.get(key)
            if cell is None:
                cell = self._add(key)
            index = bisect_left(DURATION_BUCKETS_S, value)
            cell.counts[index] += 1
            cell.total += value
            if value < cell.minimum:
                cell.minimum = value
            if value > cell.maximum:
                cell.maximum = value
            if span is not None:
                cell.exemplars[index] = (value, time_ns(), span)

    def _add(self, key: Key) -> HistogramCell:
        key = self._place(key)
        cell = self._cells.get(key)
        if cell is None:
            cell = self._cells[key] = HistogramCell(len(DURATION_BUCKETS_S) + 1)
        return cell


class CounterAggregate(_Aggregate[CounterCell]):
    """A monotonic sum."""

    __slots__ = ("direct",)

    def __init__(self, instrument: Instrument) -> None:
        super().__init__(instrument)
        self.direct: Counter | None = None
        """Where values go instead when a reader wants something other than a sum."""

    def add(self, amount: float, key: Key = (), span: SpanContext | None = None) -> None:
        if self.direct is not None:
            self.direct.add(amount, key, span)
            return
        with self._lock:
            cell = self._cells.get(key)
            if cell is None:
                cell = self._add(key)
            cell.total += amount
            if span is not None:
                cell.exemplar = (amount, time_ns(), span)

    def _add(self, key: Key) -> CounterCell:
        key = self._place(key)
        cell = self._cells.get(key)
        if cell is None:
            cell = self._cells[key] = CounterCell()
        return cell
