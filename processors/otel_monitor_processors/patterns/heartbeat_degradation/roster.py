"""The roster of heartbeats: which workers there are, and which of them are late or lost."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from otel_monitor_processors.patterns.heartbeat_degradation.heartbeats import Rhythm
from otel_monitor_processors.patterns.heartbeat_degradation.observers import Observer, Observers

_MAX_WORKERS = 10_000
_MANY_WORKERS = 5_000
_SUSPECT_NATS = 8.0
_CLEARED_NATS = 3.0
_SHARED_SHARE = 0.4
"""So many event loops are not blocked at once, each by something of its own."""


class HeartbeatRoster:
    """At most 10,000 workers; beyond that, who was not heard of for longest is forgotten, and counted in `dropped`.

    `late` are those whose heartbeats seem to be late, `lost` those that are silent, or were given up.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self.workers: OrderedDict[str, Rhythm] = OrderedDict()
        self.observers = Observers()
        self.late: dict[str, Rhythm] = {}
        self.lost: dict[str, Rhythm] = {}
        self._left = 0

    def active(self) -> int:
        """How many have not left."""
        return max(1, len(self.workers) - self._left)

    def observer(self, name: str, at: float) -> Observer:
        observer = self.observers.find(name)
        if observer is None:
            observer, kept = self.observers.add(name, at)
            self.dropped += not kept
        return observer

    def find_or_add(self, worker: str, observer: str, at: float) -> Rhythm:
        """A worker that was just heard of."""
        rhythm = self.workers.get(worker)
        if rhythm is None:
            return self.add(worker, observer, at)
        self.touch(worker)
        return rhythm

    def touch(self, worker: str) -> None:
        """A worker was just heard of. While there is much room, the order does not matter."""
        if len(self.workers) > _MANY_WORKERS:
            self.workers.move_to_end(worker)

    def add(self, worker: str, observer: str, at: float) -> Rhythm:
        """A worker that nobody knew."""
        if len(self.workers) >= _MAX_WORKERS:
            oldest, gone = self.workers.popitem(last=False)
            self._left -= gone.left_at is not None
            self.clear(oldest)
            self.dropped += 1
        rhythm = self.workers[worker] = Rhythm(observer, at)
        return rhythm

    def come(self, rhythm: Rhythm, at: float) -> None:
        """A worker is there, or there again."""
        self._left -= rhythm.left_at is not None
        rhythm.resume(at)

    def leave(self, worker: str, rhythm: Rhythm, at: float) -> bool:
        """A worker has gone in good order. True: it was suspected of something."""
        known = worker in self.lost or worker in self.late
        self._left += rhythm.left_at is None
        rhythm.leave(at)
        self.clear(worker)
        return known

    def clear(self, worker: str) -> None:
        """Nothing is suspected of a worker any more."""
        self.lost.pop(worker, None)
        self.late.pop(worker, None)

    def sort(self, worker: str, rhythm: Rhythm) -> bool:
        """Put a worker where the evidence of its lateness belongs. True: it was elsewhere before."""
        evidence = rhythm.evidence
        if worker in self.late:
            if evidence < _CLEARED_NATS:
                del self.late[worker]
                return True
        elif evidence >= _SUSPECT_NATS:
            self.late[worker] = rhythm
            return True
        return False

    def late_by_themselves(self) -> dict[str, Rhythm]:
        """Who is late, but for those whose event loop lags as most do: that is the machine's doing, or a store's."""
        if all(rhythm.late_nats >= _CLEARED_NATS for rhythm in self.late.values()):
            return self.late
        known = [rhythm.lag_nats for rhythm in self.workers.values() if rhythm.lags is not None]
        if sum(nats > 0.0 for nats in known) <= max(1.0, _SHARED_SHARE * len(known)):
            return self.late
        return {worker: rhythm for worker, rhythm in self.late.items() if rhythm.late_nats >= _CLEARED_NATS}

    def pause(self, gap_s: float) -> None:
        """Nobody was there to receive: every silence is shorter by the pause."""
        for rhythm in self.workers.values():
            rhythm.last += gap_s
        self.observers.pause(gap_s)

    def reset(self) -> None:
        self.workers.clear()
        self.observers.clear()
        self.late.clear()
        self.lost.clear()
        self.dropped = self._left = 0

    def dump(self) -> dict[str, Any]:
        return {
            "dropped": self.dropped,
            "observers": self.observers.dump(),
            "workers": [[worker, rhythm.dump()] for worker, rhythm in self.workers.items()],
            "lost": list(self.lost),
            "late": list(self.late),
        }

    def load(self, state: dict[str, Any]) -> None:
        self.reset()
        self.dropped = state["dropped"]
        self.observers.load(state["observers"])
        for worker, item in state["workers"]:
            rhythm = self.workers[worker] = Rhythm.load(item)
            self._left += rhythm.left_at is not None
        self.lost = {worker: self.workers[worker] for worker in state["lost"]}
        self.late = {worker: self.workers[worker] for worker in state["late"]}
