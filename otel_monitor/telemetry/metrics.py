"""The synchronous instruments by their use."""

from __future__ import annotations

from otel_monitor.instrumentation.operation import Role
from otel_monitor.telemetry import instruments as rows
from otel_monitor.telemetry.instruments import Instruments, Part


class Metrics:
    """What calls record into."""

    def __init__(self, make: Instruments) -> None:
        heartbeats = Part(rows.HEARTBEAT_DURATION, Role.HEARTBEAT.value)
        self.operation_duration = make.histogram(rows.OPERATION_DURATION, heartbeats)
        self.errors = make.counter(rows.ERRORS)
        self.registrations = make.counter(rows.WORKER_REGISTRATIONS)
        self.failures = make.counter(rows.WORKER_FAILURES)
        self.heartbeat_interval = make.histogram(rows.HEARTBEAT_INTERVAL)
        self.heartbeat_missed = make.counter(rows.HEARTBEAT_MISSED)
        self.queue_duration = make.histogram(rows.TASK_QUEUE_DURATION)
        self.process_duration = make.histogram(rows.TASK_PROCESS_DURATION)
        self.assignments = make.counter(rows.TASK_ASSIGNMENTS)
        self.retries = make.counter(rows.TASK_RETRIES)
        self.duplicates = make.counter(rows.TASK_DUPLICATES)
        self.rebalance_duration = make.histogram(rows.REBALANCE_DURATION)
        self.rebalance_moved = make.counter(rows.REBALANCE_MOVED)
        self.event_loop_delay = make.histogram(rows.EVENT_LOOP_DELAY)
        self.detection = make.histogram(rows.SELF_DETECTION)
        self.overhead = make.counter(rows.SELF_OVERHEAD)
