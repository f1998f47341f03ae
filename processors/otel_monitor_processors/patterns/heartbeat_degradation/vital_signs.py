"""Vital signs: observations that show that a worker lives, or that others still count on it."""

from __future__ import annotations

from otel_monitor_processors.observation import Assignment, Level, Link, OperationCount
from otel_monitor_processors.patterns.finding import Interests
from otel_monitor_processors.patterns.heartbeat_degradation.roster import HeartbeatRoster
from otel_monitor_processors.tally import Tally


class VitalSigns:
    """Notes for known workers what they and others say; nothing of its own is remembered."""

    def __init__(self, roster: HeartbeatRoster) -> None:
        self._workers = roster.workers

    def interests(self) -> Interests:
        return {
            Level: self._said,
            OperationCount: self._said,
            Tally: self._said,
            Link: self._reached,
            Assignment: self._assigned,
        }

    def _said(self, own: Level | OperationCount | Tally) -> None:
        rhythm = self._workers.get(own.source)
        if rhythm is not None:
            rhythm.lives(own.at)

    def _reached(self, link: Link) -> None:
        rhythm = self._workers.get(link.peer)
        if rhythm is not None and link.ok and link.source not in self._workers:  # its like do not know who is lost
            rhythm.is_wanted(link.at)

    def _assigned(self, assignment: Assignment) -> None:
        rhythm = self._workers.get(assignment.source)
        if rhythm is not None:
            rhythm.is_wanted(assignment.at)
