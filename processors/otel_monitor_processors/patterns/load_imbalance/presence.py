"""Who is there: the signs of life of every source, whether it is in trouble, and what it works for."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Any

_MAX_SOURCES = 10_000
_TROUBLED_S = 60.0
"""So long after it failed a second time to reach somebody or to be reached, a source is no measure for the others."""
_STALE_S = 300.0
_MISSED = 3.0
_SMOOTHING = 0.2
_NEVER = -math.inf


class _Source:
    __slots__ = ("gap_s", "gone", "seen", "service", "trouble", "troubled_until")

    def __init__(self) -> None:
        self.service = ""
        self.seen = _NEVER
        self.gap_s = 0.0
        self.gone = False
        self.trouble = _NEVER
        self.troubled_until = _NEVER


class Presence:
    """At most 10,000 sources; those that have been silent for longest are let go, and counted in `dropped`."""

    def __init__(self) -> None:
        self.dropped = 0
        self._sources: OrderedDict[str, _Source] = OrderedDict()

    def _source(self, name: str) -> _Source:
        source = self._sources.get(name)
        if source is None:
            if len(self._sources) >= _MAX_SOURCES:
                self._sources.popitem(last=False)
                self.dropped += 1
            source = self._sources[name] = _Source()
        return source

    def works_for(self, name: str, service: str) -> None:
        """A source has done some work of a service."""
        self._source(name).service = service

    def sign(self, name: str, at: float, *, by_others: bool) -> None:
        """A sign of life; only one that others have received tells that a lost source is back."""
        source = self._sources.get(name) or self._source(name)
        gap_s = at - source.seen
        if gap_s > 0.0:
            if gap_s > _STALE_S:
                self._sources.move_to_end(name)
            else:
                source.gap_s += (gap_s - source.gap_s) * (1.0 if gap_s > source.gap_s else _SMOOTHING)
            source.seen = at
        if by_others:
            source.gone = False

    def trouble(self, name: str, at: float) -> None:
        """It could not reach others, or could not be reached."""
        source = self._source(name)
        if at - source.trouble < _TROUBLED_S:
            source.troubled_until = at + _TROUBLED_S
        source.trouble = at

    def left(self, name: str) -> None:
        """It has gone, or was given up."""
        self._source(name).gone = True

    def service_of(self, name: str) -> str | None:
        """The service that a source works for; None: it is not known to work."""
        source = self._sources.get(name)
        return source.service or None if source is not None else None

    def is_there(self, name: str, since: float, now: float) -> bool:
        """Whether it has shown itself since then or lately, and nothing is known to be wrong with it.

        Of a source that only its work ever tells of, silence is no proof that it is gone.
        """
        source = self._sources.get(name)
        if source is None or source.gone or now < source.troubled_until:
            return False
        return source.seen >= since or source.gap_s == 0.0 or now - source.seen < _MISSED * source.gap_s

    def reset(self) -> None:
        self._sources.clear()
        self.dropped = 0

    def dump(self) -> list[Any]:
        sources = [
            [name, *(_finite(getattr(source, slot)) for slot in _Source.__slots__)]
            for name, source in self._sources.items()
        ]
        return [self.dropped, sources]

    def load(self, state: list[Any]) -> None:
        self.reset()
        self.dropped, sources = state
        for name, *values in sources:
            source = self._sources[name] = _Source()
            for slot, value in zip(_Source.__slots__, values, strict=True):
                setattr(source, slot, -math.inf if value is None else value)


def _finite(value: Any) -> Any:
    return None if value == -math.inf else value
