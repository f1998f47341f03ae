"""The levels of one source: what fills up, and what is busy."""

from __future__ import annotations

from typing import Any

from otel_monitor_processors.patterns.resource_exhaustion.filling import CACHE, POOL, STORE, Filling, Manner
from otel_monitor_processors.patterns.resource_exhaustion.load_history import LoadHistory
from otel_monitor_processors.patterns.resource_exhaustion.resources import family_of, is_rate
from otel_monitor_processors.patterns.resource_exhaustion.saturation import Saturation


class SourceLevels:
    """Fillings and rates of a source by the resource's name; its first rate tells how busy it is.

    Spans and metrics count the same operations, and are kept apart: the metrics' count goes before.
    """

    __slots__ = ("_counted", "_load_of", "_tallied", "fillings", "load", "rates")

    def __init__(self) -> None:
        self.fillings: dict[str, Filling] = {}
        self.rates: dict[str, Saturation] | None = None
        self.load: LoadHistory | None = None
        self._load_of = ""
        self._tallied = 0
        self._counted = -1

    def __len__(self) -> int:
        return len(self.fillings) + (len(self.rates) if self.rates is not None else 0)

    def knows(self, resource: str) -> bool:
        return resource in self.fillings or (self.rates is not None and resource in self.rates)

    def add(self, at: float, resource: str, share: float) -> bool:
        """Take in a reading; whether it is worth a look."""
        if is_rate(resource):
            return self._rate(at, resource, share)
        filling = self.fillings.get(resource)
        if filling is None:
            filling = self.fillings[resource] = Filling(_manner(resource))
        filling.add(at, min(1.0, share), self.load)
        return filling.climb is not None

    def _rate(self, at: float, resource: str, share: float) -> bool:
        if self.rates is None:
            self.rates = {}
        saturation = self.rates.get(resource)
        if saturation is None:
            saturation = self.rates[resource] = Saturation()
        work = float(self._counted if self._counted >= 0 else self._tallied)
        if self.load is None:
            self.load, self._load_of = LoadHistory(), resource
        if resource == self._load_of:
            self.load.add(at, max(0.0, min(1.0, share)))
            self._tallied, self._counted = 0, min(self._counted, 0)
        else:
            work = 0.0
        return saturation.add(at, share, work)

    def tallied(self, calls: int) -> None:
        """So many operations ended, by spans."""
        self._tallied += calls

    def counted(self, calls: int) -> None:
        """So many operations ended, by metrics."""
        self._counted = max(0, self._counted) + calls

    def dump(self) -> list[Any]:
        return [
            [[resource, filling.dump()] for resource, filling in self.fillings.items()],
            [[resource, rate.dump()] for resource, rate in self.rates.items()] if self.rates is not None else None,
            self.load.dump() if self.load is not None else None,
            self._load_of,
            self._tallied,
            self._counted,
        ]

    @classmethod
    def restored(cls, state: list[Any]) -> SourceLevels:
        it = cls()
        fillings, rates, load, it._load_of, it._tallied, it._counted = state
        it.fillings = {resource: Filling.load(filling) for resource, filling in fillings}
        it.rates = {resource: Saturation.load(rate) for resource, rate in rates} if rates is not None else None
        it.load = LoadHistory.load(load) if load is not None else None
        return it


def _manner(resource: str) -> Manner:
    family = family_of(resource)
    return CACHE if family == "memory" else POOL if family == "connections" else STORE
