"""How long ago each worker was heard of, by its receiver's clock."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Any

from otel_monitor_processors.observation import Change, Heartbeat, Membership

_MAX_WORKERS = 10_000


class HeartbeatAges:
    """When each worker was heard of last; at most 10,000, the longest silent one leaves first."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, float] = OrderedDict()
        self.dropped = 0

    def heartbeat(self, heartbeat: Heartbeat) -> None:
        if heartbeat.source == heartbeat.observer or not heartbeat.ok:
            return  # a worker's own account of its sending; its age is for the receiver to judge
        self._note(heartbeat.source, heartbeat.at)

    def membership(self, membership: Membership) -> None:
        if membership.source == membership.observer:
            return
        if membership.change is Change.JOINED:
            self._note(membership.source, membership.at)
        else:
            self._seen.pop(membership.source, None)  # no member any more: its silence is expected

    def _note(self, worker: str, at: float) -> None:
        before = self._seen.get(worker)
        if before is None and len(self._seen) >= _MAX_WORKERS:
            self._seen.popitem(last=False)
            self.dropped += 1
        elif before is not None and before > at:
            return
        self._seen[worker] = at
        self._seen.move_to_end(worker)

    def of(self, worker: str, now: float) -> float | None:
        """How old the last sign of a worker is; None where it is no member."""
        at = self._seen.get(worker)
        return now - at if at is not None else None

    def oldest_first(self, now: float) -> Iterator[tuple[str, float]]:
        """Every worker with the age of its last sign."""
        for worker, at in self._seen.items():
            yield worker, now - at

    def __len__(self) -> int:
        return len(self._seen)

    def dump(self) -> list[Any]:
        return list(self._seen.items())

    def load(self, state: Iterable[Any]) -> None:
        self._seen = OrderedDict((worker, at) for worker, at in state)
