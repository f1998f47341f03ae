"""Everything a process records with: what the hot path needs, put together once."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from typing import Protocol
from weakref import WeakMethod

from opentelemetry import metrics, trace
from opentelemetry._logs import LoggerProvider, get_logger_provider

from otel_monitor.instrumentation.operation import Role
from otel_monitor.telemetry.activity import Activity
from otel_monitor.telemetry.assignments import AssignActivity, RebalanceActivity
from otel_monitor.telemetry.event_loop import EventLoops
from otel_monitor.telemetry.fleet import Fleet
from otel_monitor.telemetry.folding import FoldedInstruments, instruments_for
from otel_monitor.telemetry.heartbeats import HeartbeatActivity
from otel_monitor.telemetry.instruments import SCOPE
from otel_monitor.telemetry.membership import DeregisterActivity, HandleFailureActivity, RegisterActivity
from otel_monitor.telemetry.metrics import Metrics
from otel_monitor.telemetry.observables import Observables
from otel_monitor.telemetry.processing import ProcessActivity
from otel_monitor.telemetry.readings import Readings
from otel_monitor.telemetry.sampling import PULSE_S, Sampling
from otel_monitor.telemetry.spans import SpanFactory, StockSpans
from otel_monitor.telemetry.tasks import Tasks
from otel_monitor_processors.guard import guard
from otel_monitor_processors.observation import Observation

_SLOW_HEARTBEAT_S = 1.0


class Driver(Protocol):
    """Takes observations, tells the time, and runs periodic duties: `otel_monitor_processors.otel.driver.Driver`."""

    @property
    def detection_s(self) -> deque[float]: ...
    @property
    def slow_s(self) -> float: ...
    @property
    def queue_size(self) -> int: ...
    def now(self) -> float: ...
    def offer(self, observation: Observation) -> None: ...
    def observe(self, observation: Observation) -> None: ...
    def every(self, interval_s: float, function: Callable[[], None]) -> None: ...


class TelemetrySettings(Protocol):
    """The settings that recording depends on: `otel_monitor.settings.Settings`."""

    @property
    def inject_carriers(self) -> bool: ...
    @property
    def record_heartbeats(self) -> bool: ...
    @property
    def monitoring_interval(self) -> float: ...
    @property
    def response_time_warning(self) -> float: ...


class Telemetry:
    """Records the calls of this process on the given providers, and reports them to the driver.

    Heartbeat events, where the settings ask for them, go to `logger_provider`, the global one when None.
    `source` is this process's instance, `service` its service. After a fork the source is that of the
    child's resource, as the SDK has renewed it.
    """

    def __init__(
        self,
        tracer_provider: trace.TracerProvider,
        meter_provider: metrics.MeterProvider,
        driver: Driver,
        settings: TelemetrySettings,
        source: str,
        service: str,
        logger_provider: LoggerProvider | None = None,
    ) -> None:
        self.driver = driver
        self.source = source
        self.service = service
        self.inject_carriers = settings.inject_carriers
        logs = logger_provider if logger_provider is not None else get_logger_provider()
        self.heartbeat_events = logs.get_logger(SCOPE) if settings.record_heartbeats else None
        self.slow_s = min(settings.response_time_warning / 1e3, driver.slow_s)
        self.slow_heartbeat_s = min(self.slow_s, _SLOW_HEARTBEAT_S)
        self.spans: SpanFactory = StockSpans(tracer_provider)
        self.instruments = instruments_for(meter_provider)
        self.metrics = Metrics(self.instruments)
        self.fleet = Fleet()
        self.tasks = Tasks(self.fleet)
        self.loops = EventLoops()
        self.sampling = Sampling(self)
        self.plain = Activity(self)
        self.activities: dict[Role, Activity] = {role: kind(self) for role, kind in _ACTIVITIES.items()}
        self._interval_s = settings.monitoring_interval
        self._tracer_provider = tracer_provider
        self._meter_provider = meter_provider
        self._running = False
        _after_fork(WeakMethod(self._reset_after_fork))

    def start(self) -> None:
        """Answer for the observable metrics, and sample from now on."""
        if self._running:
            return
        self._running = True
        Readings(self).register(Observables.of(self._meter_provider))
        self.driver.every(PULSE_S, _while_alive(WeakMethod(self._pulse)))
        self.driver.every(self._interval_s, _while_alive(WeakMethod(self._sample)))

    def stop(self) -> None:
        """Answer and sample no more; what was recorded is left with the meter provider."""
        if not self._running:
            return
        self._running = False
        Observables.of(self._meter_provider).silence()
        if isinstance(self.instruments, FoldedInstruments):
            self.instruments.fold()

    def _pulse(self) -> None:
        if self._running:
            self.sampling.pulse()

    def _sample(self) -> None:
        if self._running:
            self.sampling.sample_resources()

    def _reset_after_fork(self) -> None:
        resource = getattr(self._tracer_provider, "resource", None)
        if resource is not None:
            self.source = str(resource.attributes.get("service.instance.id", self.source))
        for part in (self.fleet, self.tasks, self.loops, self.sampling):
            part.reset_after_fork()
        if isinstance(self.instruments, FoldedInstruments):
            self.instruments.reset_after_fork()


_ACTIVITIES: dict[Role, type[Activity]] = {
    Role.REGISTER: RegisterActivity,
    Role.DEREGISTER: DeregisterActivity,
    Role.HEARTBEAT: HeartbeatActivity,
    Role.ASSIGN: AssignActivity,
    Role.REBALANCE: RebalanceActivity,
    Role.HANDLE_FAILURE: HandleFailureActivity,
    Role.PROCESS: ProcessActivity,
}


def _while_alive(method: WeakMethod[Callable[[], None]]) -> Callable[[], None]:
    """Calls a method of something that it does not keep alive."""

    def run() -> None:
        function = method()
        if function is not None:
            function()

    return run


def _after_fork(method: WeakMethod[Callable[[], None]]) -> None:
    # registered after the SDK's own hook, which renews the resource, because the providers exist already
    os.register_at_fork(after_in_child=guard("telemetry.fork")(_while_alive(method)))
