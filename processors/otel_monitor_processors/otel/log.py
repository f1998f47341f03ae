"""A log-record processor that observes heartbeat events and errors."""

from __future__ import annotations

from opentelemetry.sdk._logs import LogRecordProcessor, ReadWriteLogRecord

from otel_monitor_processors.engine import Engine
from otel_monitor_processors.guard import guard
from otel_monitor_processors.observation import ErrorLog, TraceRef
from otel_monitor_processors.otel import attributes as names
from otel_monitor_processors.otel.driver import Driver, driver_of
from otel_monitor_processors.otel.mapping import LogFacts, log_observations, source_of
from otel_monitor_processors.otel.notify import notify


class MonitorLogRecordProcessor(LogRecordProcessor):
    """Feeds log records to an engine. Add it before the exporting processors.

    Args:
        owner: the engine, or its driver; None for the process's own.
        console: whether the engine's alerts are also written to stderr.
    """

    def __init__(self, owner: Driver | Engine | None = None, *, console: bool = True) -> None:
        self._driver = driver_of(owner)
        notify(self._driver, console=console)

    @guard("log.on_emit")
    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        record = log_record.log_record
        event_name = record.event_name or ""
        scope = log_record.instrumentation_scope
        if event_name.startswith("otel_monitor.") or (scope is not None and scope.name == names.INSTRUMENTATION_SCOPE):
            return  # our own alerts, and heartbeats that were observed at their source
        source, service = source_of(log_record.resource.attributes if log_record.resource is not None else {})
        trace = TraceRef(record.trace_id, record.span_id) if record.trace_id and record.span_id else None
        severity = record.severity_number.value if record.severity_number is not None else 0
        text = record.body if isinstance(record.body, str) else ""
        facts = LogFacts(
            self._driver.now(), severity, event_name, record.attributes or {}, trace, source, service, text
        )
        for observation in log_observations(facts):
            if type(observation) is ErrorLog:
                self._driver.observe(observation)
            else:
                self._driver.offer(observation)

    @guard("log.shutdown")
    def shutdown(self) -> None:
        self._driver.stop()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Nothing is held back here."""
        return True
