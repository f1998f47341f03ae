"""Heartbeats as metrics tell of them: their interval, the age of the last, what keeps a worker from sending them."""

from __future__ import annotations

from collections.abc import Callable

from otel_monitor_processors.observation import MetricPoint
from otel_monitor_processors.patterns.heartbeat_degradation.absences import Absences
from otel_monitor_processors.patterns.heartbeat_degradation.heartbeats import Fleet, Rhythm
from otel_monitor_processors.patterns.heartbeat_degradation.roster import HeartbeatRoster

_WORKER_ID = "orchestrator.worker.id"


class HeartbeatMetrics:
    """Takes in the metrics of orchestrators and workers about heartbeats; nothing of its own is remembered."""

    def __init__(self, roster: HeartbeatRoster, absences: Absences) -> None:
        self._roster = roster
        self._absences = absences
        self._by_name: dict[str, Callable[[MetricPoint, Fleet], bool]] = {
            "orchestrator.heartbeat.interval": self._interval,
            "orchestrator.heartbeat.age": self._age,
            "orchestrator.heartbeat.duration": self._answers,
            "orchestrator.event_loop.delay": self._lag,
            "orchestrator.worker.failures": self._failures,
        }

    def take(self, point: MetricPoint, fleet: Fleet) -> bool:
        """A point of any metric. True: somebody is suspected now who was not, or the other way round."""
        take = self._by_name.get(point.name)
        return take is not None and take(point, fleet)

    def _reported(self, point: MetricPoint) -> tuple[str, Rhythm | None]:
        """The worker that a point is about."""
        worker = next((value for name, value in point.attributes if name == _WORKER_ID), "")
        if not worker or worker == point.source:
            return worker, None
        return worker, self._roster.find_or_add(worker, point.source, point.at)

    def _interval(self, point: MetricPoint, fleet: Fleet) -> bool:
        worker, rhythm = self._reported(point)
        if rhythm is None or point.value <= 0.0:
            return False
        rhythm.observer = point.source
        return rhythm.report(point.at, point.value, fleet) and self._roster.sort(worker, rhythm)

    def _age(self, point: MetricPoint, fleet: Fleet) -> bool:
        worker, rhythm = self._reported(point)
        if rhythm is None:
            return False
        if rhythm.left_at is not None:
            self._roster.come(rhythm, point.at)
        self._roster.observer(point.source, point.at).export(point.at)
        news = rhythm.age(point.at, point.value, fleet) and self._roster.sort(worker, rhythm)
        if rhythm.is_recorded:
            return news
        rhythm.observer = point.source
        known = rhythm.lost_at is not None
        if point.at > rhythm.suspect_by():
            rhythm.doubted_at = min(rhythm.doubted_at, point.at)
        self._absences.judge(worker, rhythm, point.at, fleet[0].missing)
        return news or known is not (rhythm.lost_at is not None)

    def _answers(self, point: MetricPoint, fleet: Fleet) -> bool:
        rhythm = self._roster.workers.get(point.source)
        if rhythm is None or not rhythm.usual:
            return False
        return rhythm.answer(point.at, point.value, fleet) and self._roster.sort(point.source, rhythm)

    def _lag(self, point: MetricPoint, fleet: Fleet) -> bool:
        rhythm = self._roster.workers.get(point.source)
        if rhythm is None or not rhythm.usual:
            return False
        return rhythm.lag(point.at, point.value, fleet) and self._roster.sort(point.source, rhythm)

    def _failures(self, point: MetricPoint, _fleet: Fleet) -> bool:
        if point.value > 0.0:
            self._roster.observer(point.source, point.at).failures = point.at, point.value
        return False
