"""What the demo's receiver has got so far: counts of everything, and the alerts one by one."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from otel_monitor.demo.receiver import Signal

ALERT_EVENT = "otel_monitor.alert.state_change"
VERDICT_EVENT = "otel_monitor.pattern.verdict"
MAX_ALERTS = 1000
MAX_VERDICTS = 1000
MAX_NAMES = 200
_ALERT = "otel_monitor.alert."
_PATTERN = "otel_monitor.pattern"
_OTHER = "(other)"


@dataclass(frozen=True, slots=True)
class AlertEvent:
    """One change of an alert's state, or of its text while it fires, as its log event tells it."""

    id: str
    at: float
    reporter: str
    rule: str
    pattern: str | None
    severity: str
    state: str
    summary: str
    trace_id: str


@dataclass(frozen=True, slots=True)
class VerdictEvent:
    """One change of a verdict, as its log event tells it, or as the engine over the whole system does."""

    reporter: str
    at: float
    pattern: str
    scope: str
    state: str
    confidence: float
    sources: tuple[str, ...]
    root: str
    summary: str


class Telemetry:
    """Takes decoded requests from the receiver's threads; bounded, with a count of what was too much."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards everything below
        self._received: Counter[Signal] = Counter()
        self._spans: Counter[str] = Counter()
        self._alerts: list[AlertEvent] = []
        self._verdicts: list[VerdictEvent] = []
        self._dropped = 0

    def take(self, signal: Signal, message: Message) -> None:
        """Count what a request carries, and keep the alerts in it."""
        if isinstance(message, ExportTraceServiceRequest):
            names = [span.name for item in message.resource_spans for part in item.scope_spans for span in part.spans]
            self._add(signal, len(names), spans=names)
        elif isinstance(message, ExportMetricsServiceRequest):
            metrics = (m for item in message.resource_metrics for part in item.scope_metrics for m in part.metrics)
            self._add(signal, sum(map(_points, metrics)))
        elif isinstance(message, ExportLogsServiceRequest):
            records = list(_records(message))
            alerts = [_alert(record, reporter) for record, reporter in records if record.event_name == ALERT_EVENT]
            self._add(signal, len(records), alerts=alerts)
            self._add_verdicts([_verdict(*found) for found in records if found[0].event_name == VERDICT_EVENT])

    def received(self) -> dict[Signal, int]:
        """How many spans, metric points and log records have come."""
        with self._lock:
            return {signal: self._received[signal] for signal in Signal}

    def spans(self) -> dict[str, int]:
        """How many spans of each name have come, the most frequent first."""
        with self._lock:
            return dict(self._spans.most_common())

    def alerts(self) -> list[AlertEvent]:
        """Every change of an alert's state, in order of time."""
        with self._lock:
            return sorted(self._alerts, key=lambda alert: alert.at)

    def verdicts(self) -> list[VerdictEvent]:
        """Every change of a verdict inside the programs, in order of time."""
        with self._lock:
            return sorted(self._verdicts, key=lambda verdict: verdict.at)

    @property
    def dropped(self) -> int:
        """How many alert and verdict events came when there was no more room for them."""
        return self._dropped

    def _add(self, signal: Signal, count: int, spans: Iterable[str] = (), alerts: Iterable[AlertEvent] = ()) -> None:
        with self._lock:
            self._received[signal] += count
            for name in spans:
                self._spans[name if name in self._spans or len(self._spans) < MAX_NAMES else _OTHER] += 1
            for alert in alerts:
                if alert in self._alerts:  # an exporter that saw no answer sends again
                    continue
                if len(self._alerts) >= MAX_ALERTS:
                    self._dropped += 1
                else:
                    self._alerts.append(alert)

    def _add_verdicts(self, verdicts: list[VerdictEvent]) -> None:
        with self._lock:
            for verdict in verdicts:
                if verdict in self._verdicts:
                    continue
                if len(self._verdicts) >= MAX_VERDICTS:
                    self._dropped += 1
                else:
                    self._verdicts.append(verdict)


def _records(message: ExportLogsServiceRequest) -> Iterator[tuple[LogRecord, str]]:
    for item in message.resource_logs:
        resource = _attributes(item.resource.attributes)
        reporter = resource.get("service.instance.id") or resource.get("service.name", "")
        for part in item.scope_logs:
            for record in part.log_records:
                yield record, reporter


def _alert(record: LogRecord, reporter: str) -> AlertEvent:
    attributes = _attributes(record.attributes)
    return AlertEvent(
        id=attributes.get(_ALERT + "id", ""),
        at=(record.time_unix_nano or record.observed_time_unix_nano) / 1e9,
        reporter=reporter,
        rule=attributes.get(_ALERT + "rule", ""),
        pattern=attributes.get(_ALERT + "pattern"),
        severity=attributes.get(_ALERT + "severity", ""),
        state=attributes.get(_ALERT + "state", ""),
        summary=attributes.get(_ALERT + "summary", ""),
        trace_id=record.trace_id.hex(),
    )


def _verdict(record: LogRecord, reporter: str) -> VerdictEvent:
    attributes = _attributes(record.attributes)
    confidence, sources = 0.0, []
    for pair in record.attributes:
        if pair.key == f"{_PATTERN}.confidence":
            confidence = pair.value.double_value
        elif pair.key == f"{_PATTERN}.sources":
            sources = [value.string_value for value in pair.value.array_value.values]
    return VerdictEvent(
        reporter=reporter,
        at=record.time_unix_nano / 1e9,
        pattern=attributes.get(_PATTERN, ""),
        scope=attributes.get(f"{_PATTERN}.scope", ""),
        state=attributes.get(f"{_PATTERN}.state", ""),
        confidence=confidence,
        sources=tuple(sources),
        root=attributes.get(f"{_PATTERN}.root", ""),
        summary=record.body.string_value,
    )


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, str]:
    """The attributes that are one text; others are of no use here."""
    return {pair.key: pair.value.string_value for pair in pairs if pair.value.WhichOneof("value") == "string_value"}


def _points(metric: Metric) -> int:
    kind = metric.WhichOneof("data")
    return len(getattr(metric, kind).data_points) if kind is not None else 0
