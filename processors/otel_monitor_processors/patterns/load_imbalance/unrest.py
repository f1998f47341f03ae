"""Whether a system fails in more ways than usual: then shares of work move because of that."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Collection
from typing import Any

from otel_monitor_processors.classification import Category

_INFRASTRUCTURE = frozenset(category for category in Category if category is not Category.APPLICATION)
_MAX_SOURCES = 2_048
_RECENT_S = 60.0
_USUAL_S = 1800.0
_LASTS_S = 60.0
_LEAST_SHARE = 0.02
_FACTOR = 4.0
_LEAST_SOURCES = 2
_LEAST_PART = 0.1


class Unrest:
    """Failures for want of something, or of somebody who answers; errors of the application itself are none."""

    def __init__(self) -> None:
        self._sources: OrderedDict[str, float] = OrderedDict()
        self._calls = 0.0
        self._failed = 0.0
        self._usual = 0.0
        self._rolled = -math.inf
        self._until = -math.inf

    def called(self, calls: float) -> None:
        """So many calls have ended."""
        self._calls += calls

    def failed(self, source: str, at: float, failures: float = 1.0, category: Category | None = None) -> None:
        """Some of a source's calls have failed."""
        if category is not None and category not in _INFRASTRUCTURE:
            return
        self._failed += failures
        self._sources[source] = at
        self._sources.move_to_end(source)
        if len(self._sources) > _MAX_SOURCES:
            self._sources.popitem(last=False)

    def roll(self, now: float) -> None:
        """Let time pass."""
        gap_s = now - self._rolled if now - self._rolled < _RECENT_S else _RECENT_S
        self._rolled = now
        while self._sources and next(iter(self._sources.values())) < now - _LASTS_S:
            self._sources.popitem(last=False)
        share = self._failed / max(self._calls, self._failed, 1.0)
        if self._failed >= _LEAST_SOURCES and share > max(_LEAST_SHARE, _FACTOR * self._usual):
            self._until = now + _LASTS_S
        self._usual += gap_s / _USUAL_S * (share - self._usual)
        fade = math.exp(-gap_s / _RECENT_S)
        self._calls *= fade
        self._failed *= fade

    def is_among(self, workers: int, suspects: Collection[str], now: float) -> bool:
        """Whether others than the suspects, a few of so many workers at least, fail or have failed lately."""
        if now >= self._until:
            return False
        others = sum(1 for source in self._sources if source not in suspects)
        return others >= max(_LEAST_SOURCES, _LEAST_PART * workers)

    def dump(self) -> list[Any]:
        numbers = [self._calls, self._failed, self._usual]
        times = [time if math.isfinite(time) else None for time in (self._rolled, self._until)]
        return [list(self._sources.items()), numbers, times]

    @classmethod
    def load(cls, state: list[Any]) -> Unrest:
        unrest = cls()
        sources, numbers, times = state
        unrest._sources = OrderedDict(sources)
        unrest._calls, unrest._failed, unrest._usual = numbers
        unrest._rolled, unrest._until = (-math.inf if time is None else time for time in times)
        return unrest
