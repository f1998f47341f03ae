"""Heartbeats that are only known from metrics, beside those that are recorded one by one.

Our own instrumentation makes a span of a heartbeat only when it failed or was slow, and metrics always: then
the spans have no rhythm. Other senders record every heartbeat: then a metric adds nothing but noise.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from otel_monitor_processors.observation import Heartbeat

_MAX_WORKERS = 10_000
_COMPLETE = 0.5
_SAME_S = 0.5


@dataclass(slots=True)
class _Worker:
    """What is known of one worker: its last heartbeat, and how many were recorded since the last export."""

    last_s: float = float("-inf")
    recorded_s: float = float("-inf")
    recorded: int = 0
    by_metric: bool = False


class HeartbeatRecords:
    """Decides for every worker whether its heartbeats are taken one by one or from metrics."""

    def __init__(self) -> None:
        self.dropped = 0
        self._workers: OrderedDict[str, _Worker] = OrderedDict()

    def recorded(self, heartbeat: Heartbeat) -> bool:
        """A heartbeat was recorded by itself. False: the records are too few to be a rhythm."""
        worker = self._worker(heartbeat.source)
        worker.recorded += 1
        worker.recorded_s = max(worker.recorded_s, heartbeat.at)
        return not worker.by_metric

    def exported(
        self, name: str, observer: str, at_s: float, age_s: float | None, count: int | None
    ) -> Heartbeat | None:
        """An export told the age of the last heartbeat, or how many have come since the last export."""
        worker = self._worker(name)
        last_s = at_s - age_s if age_s is not None else (at_s if count else worker.last_s)
        news = last_s > worker.last_s + _SAME_S
        if count is not None:
            complete = worker.recorded >= _COMPLETE * count
        else:
            complete = worker.recorded > 1 or abs(last_s - worker.recorded_s) <= _SAME_S
        if news or count:
            worker.by_metric = not complete
        worker.last_s = max(worker.last_s, last_s)
        worker.recorded = 0
        return Heartbeat(at_s, name, observer) if news and worker.by_metric else None

    def _worker(self, name: str) -> _Worker:
        worker = self._workers.get(name)
        if worker is None:
            if len(self._workers) >= _MAX_WORKERS:
                self._workers.popitem(last=False)
                self.dropped += 1
            worker = self._workers[name] = _Worker()
        self._workers.move_to_end(name)
        return worker
