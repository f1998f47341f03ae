"""Cumulative totals as increases, series by series."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import NamedTuple

_MAX_SERIES = 50_000


class Total(NamedTuple):
    """A cumulative value at one time: of a sum, or of a histogram's sum with its number of events."""

    start_s: float
    at_s: float
    value: float
    events: int = 0


class Increase(NamedTuple):
    """By how much a total has grown since the series' last point."""

    value: float
    events: int = 0


class Increases:
    """Remembers the last total of every series; at most 50,000 of them, the longest idle one leaves first.

    A series starts anew when its total falls, or when its start time is past its last point: what it has
    then is all increase. Of a series seen for the first time only the total is known, unless it began after
    this began to look.
    """

    def __init__(self, max_series: int = _MAX_SERIES) -> None:
        self.dropped = 0
        self._max_series = max_series
        self._last: OrderedDict[Hashable, Total] = OrderedDict()
        self._since_s: float | None = None

    def take(self, series: Hashable, total: Total) -> Increase | None:
        """The increase up to `total`; None where there is none to be known."""
        if self._since_s is None:
            self._since_s = total.at_s
        last = self._last.get(series)
        if last is None:
            self._add(series, total)
            began_in_view = total.start_s > self._since_s and not self.dropped
            return Increase(total.value, total.events) if began_in_view else None
        if total.at_s <= last.at_s:
            return None  # sent twice, or overtaken
        self._last[series] = total
        self._last.move_to_end(series)
        restarted = total.start_s > last.start_s and total.start_s >= last.at_s
        if restarted or total.events < last.events or (total.value < last.value and not total.events):
            return Increase(total.value, total.events)
        return Increase(total.value - last.value, total.events - last.events)

    def _add(self, series: Hashable, total: Total) -> None:
        if len(self._last) >= self._max_series:
            self._last.popitem(last=False)
            self.dropped += 1
        self._last[series] = total
