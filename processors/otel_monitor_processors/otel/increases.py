"""Cumulative totals as increases, series by series."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Hashable
from typing import NamedTuple

from otel_monitor_processors.distribution import Distribution

_MAX_SERIES = 50_000


class Total(NamedTuple):
    """A cumulative value at one time: of a sum, or of a histogram's sum with its number of events."""

    start_s: float
    at_s: float
    value: float
    events: int = 0
    distribution: Distribution | None = None


class Increase(NamedTuple):
    """By how much a total has grown since the series' last point."""

    value: float
    events: int = 0
    distribution: Distribution | None = None


class Increases:
    """Remembers the last total of every series; at most 50,000 of them, the longest idle one leaves first.

    A series starts anew when its total falls, or when its start time is past its last point: what it has
    then is all increase. Of a series seen for the first time only the total is known, unless it was not there
    before: it began after this began to look, or its metric was exported without it. A start time that is the
    point's own says that the true one is not known (OpenTelemetry's data model, "Cumulative streams: handling
    unknown start time"): such a total is no increase.
    """

    def __init__(self, max_series: int = _MAX_SERIES) -> None:
        self.dropped = 0
        self._max_series = max_series
        self._last: OrderedDict[Hashable, Total] = OrderedDict()
        self._since_s = math.inf

    def look_from(self, at_s: float) -> None:
        """This began to look at `at_s`, if not before."""
        self._since_s = min(self._since_s, at_s)

    def last_s(self, series: Hashable) -> float:
        """When the series was last exported; infinite where it never was."""
        last = self._last.get(series)
        return last.at_s if last is not None else math.inf

    def take(self, series: Hashable, total: Total, *, exported_without: bool = False) -> Increase | None:
        """The increase up to `total`; None where there is none to be known.

        `exported_without` says that an earlier export had the same metric of the same sender, with all the series
        that there were: one that is new had counted nothing yet.
        """
        last = self._last.get(series)
        unknown_start = total.start_s == total.at_s
        if last is None:
            new = total.start_s > self._since_s or (exported_without and not self.dropped)
            self._add(series, total)
            return _all_of(total) if new and not unknown_start else None
        if total.at_s <= last.at_s:
            return None  # sent twice, or overtaken
        self._last[series] = total
        self._last.move_to_end(series)
        restarted = total.start_s > last.start_s and total.start_s >= last.at_s
        if restarted and unknown_start:
            return None
        if restarted or total.events < last.events or (total.value < last.value and not total.events):
            return _all_of(total)
        spread = total.distribution.less(last.distribution) if total.distribution is not None else None
        return Increase(total.value - last.value, total.events - last.events, spread)

    def _add(self, series: Hashable, total: Total) -> None:
        if len(self._last) >= self._max_series:
            _, gone = self._last.popitem(last=False)
            self._since_s = max(self._since_s, gone.at_s)  # one that began before may be one that left
            self.dropped += 1
        self._last[series] = total


def _all_of(total: Total) -> Increase:
    return Increase(total.value, total.events, total.distribution)
