"""Counts that come with metric exports, laid out over the time that they cover."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

_BIN_S = 10.0
_MAX_SOURCES = 2_048
_MAX_BINS = 64
_USUAL_S = 15.0
_LONGEST_S = 150.0
_SLACK_S = 2.0
_PATIENCE = 2.2
_SMOOTHING = 0.02


class ExportedCounts:
    """The counts of one service's workers in bins of ten seconds.

    Each worker exports at its own time, and an export covers what has happened since the one before: it is spread
    evenly over that time. A bin is complete when every worker has had time to export what belongs to it.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self._interval_s = _USUAL_S
        self._last: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._bins: dict[int, dict[str, float]] = {}
        self._closed = -1

    def exported(self, source: str, at: float) -> None:
        """An export of the source: what it counts covers the time since the one before, if that is not long ago."""
        last = self._last.get(source)
        if last is None:
            if len(self._last) >= _MAX_SOURCES:
                self._last.popitem(last=False)
                self.dropped += 1
            self._last[source] = (at, at)
        elif at > last[1]:
            gap_s = at - last[1]
            self._last[source] = (last[1] if gap_s <= _LONGEST_S else at, at)
            if gap_s <= _LONGEST_S:
                self._interval_s += (gap_s - self._interval_s) * (1.0 if gap_s > self._interval_s else _SMOOTHING)

    def add(self, source: str, at: float, calls: int) -> None:
        """Count calls that were exported at `at`."""
        self.exported(source, at)
        start, end = self._last[source]
        if end <= start:
            return
        first, last = int(start // _BIN_S), int(end // _BIN_S)
        for index in range(first, last + 1):
            if index <= self._closed:
                continue
            part = min(end, (index + 1) * _BIN_S) - max(start, index * _BIN_S)
            if part > 0.0:
                counts = self._bins.setdefault(index, {})
                counts[source] = counts.get(source, 0.0) + calls * part / (end - start)

    def has_reported(self, source: str, since: float) -> bool:
        """Whether a source has exported anything since a time: only then no calls are none."""
        last = self._last.get(source)
        return last is not None and last[1] >= since

    def close(self, now: float) -> list[tuple[float, dict[str, float]]]:
        """The bins that are complete, with the time of their end."""
        if not self._bins:
            return []
        patience_s = _PATIENCE * self._interval_s + _SLACK_S
        reported = min((end for _, end in self._last.values() if end > now - patience_s), default=now - patience_s)
        newest = int(reported // _BIN_S) - 1
        done = sorted(index for index in self._bins if index <= newest)
        if len(self._bins) - len(done) > _MAX_BINS:
            done = sorted(self._bins)
        if done:
            self._closed = done[-1]
        return [((index + 1) * _BIN_S, self._bins.pop(index)) for index in done]

    def dump(self) -> list[Any]:
        last = [[source, *span] for source, span in self._last.items()]
        bins = [[index, list(counts.items())] for index, counts in self._bins.items()]
        return [self.dropped, self._interval_s, self._closed, last, bins]

    @classmethod
    def load(cls, state: list[Any]) -> ExportedCounts:
        counts = cls()
        counts.dropped, counts._interval_s, counts._closed, last, bins = state
        counts._last = OrderedDict((source, (start, end)) for source, start, end in last)
        counts._bins = {index: dict(items) for index, items in bins}
        return counts
