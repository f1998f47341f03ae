"""What is measured from time to time, in the driver's thread: event loops, silent workers, resources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_monitor.telemetry.instruments import EVENT_LOOP_DELAY, LOAD_IMBALANCE, WORKER_ASSIGNED, Instrument
from otel_monitor.telemetry.resources import (
    Resources,
)  # at once: a fork during an import in a thread locks the child up
from otel_monitor_processors.alerts.rule import Labels
from otel_monitor_processors.guard import guard
from otel_monitor_processors.observation import Level, MetricPoint
from otel_monitor_processors.otel import attributes as names

if TYPE_CHECKING:
    from otel_monitor.telemetry.resources import Sample
    from otel_monitor.telemetry.telemetry import Telemetry

PULSE_S = 1.0


class Sampling:
    """The periodic duties of one `Telemetry`."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._resources: Resources | None = None

    @property
    def resources(self) -> Sample | None:
        """What the last sampling found, once there was one."""
        return self._resources.last if self._resources is not None else None

    @guard("sampling.pulse")
    def pulse(self) -> None:
        """Once a second."""
        telemetry = self._telemetry
        missed = telemetry.fleet.take_missed(telemetry.driver.now())
        if missed:
            telemetry.metrics.heartbeat_missed.add(missed)
        imbalance = telemetry.fleet.imbalance()
        if imbalance is not None:
            self._point(LOAD_IMBALANCE, imbalance)
        self._look_at_assignments()
        delays_s = telemetry.loops.delays_s()
        for delay_s in delays_s:
            telemetry.metrics.event_loop_delay.record(delay_s)
        if delays_s:
            self._point(EVENT_LOOP_DELAY, max(delays_s))
        self._take_detection()

    @guard("sampling.resources")
    def sample_resources(self) -> None:
        """Once a monitoring interval."""
        if self._resources is None:
            self._resources = Resources()
        telemetry = self._telemetry
        sample = self._resources.sample()
        at = telemetry.driver.now()
        for name, usage in sample.levels.items():
            telemetry.driver.offer(Level(at, telemetry.source, name, usage.value, usage.limit, telemetry.service))

    def reset_after_fork(self) -> None:
        """In a child: it is another process."""
        self._resources = None

    def _look_at_assignments(self) -> None:
        """How much each worker holds, all of it at one time: what is compared belongs together."""
        at = self._telemetry.driver.now()
        for worker, assigned in self._telemetry.fleet.assigned():
            if worker is not None:
                self._offer(at, WORKER_ASSIGNED, assigned, ((names.WORKER_ID, worker),))

    def _point(self, instrument: Instrument, value: float) -> None:
        self._offer(self._telemetry.driver.now(), instrument, value)

    def _offer(self, at: float, instrument: Instrument, value: float, attributes: Labels = ()) -> None:
        telemetry = self._telemetry
        telemetry.driver.offer(
            MetricPoint(at, telemetry.source, instrument.name, attributes, value, instrument.unit, telemetry.service)
        )

    def _take_detection(self) -> None:
        durations_s = self._telemetry.driver.detection_s
        for _ in range(len(durations_s)):
            self._telemetry.metrics.detection.record(durations_s.popleft(), ("driver",))
