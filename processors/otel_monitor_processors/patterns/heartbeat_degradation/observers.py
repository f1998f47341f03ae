"""Observers: who receives heartbeats, and when it received none at all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from otel_monitor_processors.patterns.heartbeat_degradation.heartbeats import Rhythm

_MAX_OBSERVERS = 1_000
_MIN_DUE = 3
"""So many workers do not miss a heartbeat at once by chance."""
_DUE_MARGIN = 1.15
_NEVER = -1e18
_AGAIN = 3.0
_EXCUSED = 5
_OVERDUE = 2.2
_OVERDUE_SHARE = 0.6


class Observer:
    """A receiver of heartbeats: its last one, when it was last deaf, its last two exports of metrics."""

    __slots__ = ("_deaf_run", "deaf_to", "exported", "failures", "last", "previous")

    def __init__(self, last: float) -> None:
        self.last = last
        self.deaf_to = _NEVER
        self._deaf_run = 0
        self.exported = self.previous = 0.0
        self.failures: tuple[float, float] | None = None

    def was_deaf(self, at: float, usual_s: float) -> None:
        """It hears again. Who is deaf again and again is slow, and no excuse for lateness."""
        often = at - self.deaf_to < _AGAIN * usual_s
        self._deaf_run = self._deaf_run + 1 if often else 1
        self.deaf_to = at

    def excuses(self, last: float) -> bool:
        """Whether a gap since `last` may be due to it."""
        return last < self.deaf_to and self._deaf_run <= _EXCUSED

    def export(self, at: float) -> None:
        """Metrics came from it."""
        if at > self.exported:
            self.previous, self.exported = self.exported, at

    def dump(self) -> list[Any]:
        failures = list(self.failures) if self.failures is not None else None
        return [self.last, self.deaf_to, self._deaf_run, self.exported, self.previous, failures]

    @classmethod
    def load(cls, state: list[Any]) -> Observer:
        observer = cls(state[0])
        _, observer.deaf_to, observer._deaf_run, observer.exported, observer.previous, failures = state
        observer.failures = (failures[0], failures[1]) if failures is not None else None
        return observer


class Observers:
    """All receivers of heartbeats. Beyond a thousand the newest are not told apart from nobody."""

    def __init__(self) -> None:
        self._known: dict[str, Observer] = {}

    def add(self, name: str, at: float) -> tuple[Observer, bool]:
        """A new one; False where there was no room to keep it."""
        observer = Observer(at)
        kept = len(self._known) < _MAX_OBSERVERS
        if kept:
            self._known[name] = observer
        return observer, kept

    def find(self, name: str) -> Observer | None:
        return self._known.get(name)

    def failing(self) -> list[tuple[str, Observer]]:
        """Those whose metrics told that they have given up workers, since this was last asked."""
        return [(name, observer) for name, observer in self._known.items() if observer.failures is not None]

    def pause(self, gap_s: float) -> None:
        for observer in self._known.values():
            observer.last += gap_s

    def clear(self) -> None:
        self._known.clear()

    def dump(self) -> list[Any]:
        return [[name, observer.dump()] for name, observer in self._known.items()]

    def load(self, state: list[Any]) -> None:
        self._known = {name: Observer.load(item) for name, item in state}


def was_deaf(name: str, start: float, end: float, workers: Iterable[Rhythm]) -> bool:
    """Whether so many workers were due in a stretch without any heartbeat that the receiver must be the reason."""
    due = 0
    for rhythm in workers:
        if rhythm.observer != name or rhythm.left_at is not None:
            continue
        if rhythm.lost_at is not None and rhythm.lost_at <= start:
            continue  # it was lost before
        usual = rhythm.beats.usual
        if usual > 0.0 and rhythm.last <= start < rhythm.last + _DUE_MARGIN * usual < end:
            due += 1
            if due >= _MIN_DUE:
                return True
    return False


def is_failing(name: str, now: float, workers: Iterable[Rhythm], *, with_lost: bool = False) -> bool:
    """Whether a receiver misses the heartbeats of so many workers that they are not the reason.

    Those that are lost count only if asked for. Metrics come too seldom to tell whom it hears at the moment.
    """
    known = overdue = 0
    for rhythm in workers:
        usual = rhythm.beats.usual
        if rhythm.observer != name or rhythm.left_at is not None or usual <= 0.0:
            continue
        if with_lost or rhythm.lost_at is None:
            known += 1
            overdue += now - rhythm.last > _OVERDUE * usual
    return overdue >= max(_MIN_DUE, _OVERDUE_SHARE * known)


def thinned(name: str, since: float, workers: Iterable[Rhythm]) -> float:
    """The share of heartbeats that are not seen of those workers that a receiver has heard of `since` a time.

    Where only a sample is recorded from now on, the gaps of all of them are several intervals long.
    """
    count = intervals = 0
    for rhythm in workers:
        usual = rhythm.beats.usual
        if rhythm.observer == name and rhythm.last > since and usual > 0.0 and rhythm.left_at is None:
            count += 1
            intervals += max(1, round(rhythm.gap_s / usual))
    return 1.0 - count / intervals if count >= _MIN_DUE else 0.0
