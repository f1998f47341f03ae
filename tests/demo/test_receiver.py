"""The demo's receiver takes what real exporters send, keeps the alerts, and stays small."""

from __future__ import annotations

import gzip
import socket
import struct
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from otel_monitor.demo.receiver import MAX_BODY_BYTES, Receiver, Signal
from otel_monitor.demo.telemetry import ALERT_EVENT, MAX_ALERTS, MAX_NAMES, AlertEvent, Telemetry
from tests.polling import eventually

RESOURCE = Resource({"service.name": "shop", "service.instance.id": "w1"})
ALERT: dict[str, str | float] = {
    "otel_monitor.alert.id": "a1",
    "otel_monitor.alert.rule": "worker_lost",
    "otel_monitor.alert.pattern": "heartbeat_degradation",
    "otel_monitor.alert.severity": "critical",
    "otel_monitor.alert.state": "firing",
    "otel_monitor.alert.summary": "no heartbeat for 2.1 s",
    "otel_monitor.alert.value": 0.99,
}


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


@pytest.fixture
def receiver(telemetry: Telemetry) -> Iterator[Receiver]:
    receiver = Receiver(lambda signal, message, _body: telemetry.take(signal, message))
    receiver.start()
    yield receiver
    receiver.stop()


@pytest.mark.parametrize("compression", Compression)
def test_spans_of_a_real_exporter_are_counted_by_name(
    compression: Compression, receiver: Receiver, telemetry: Telemetry
) -> None:
    exporter = OTLPSpanExporter(receiver.endpoint + "/v1/traces", compression=compression)
    provider = TracerProvider(resource=RESOURCE)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    for name in ("process stream", "assign stream", "process stream"):
        provider.get_tracer("test").start_span(name).end()
    provider.shutdown()
    assert telemetry.received()[Signal.TRACES] == 3
    assert telemetry.spans() == {"process stream": 2, "assign stream": 1}


def test_metric_points_of_a_real_exporter_are_counted(receiver: Receiver, telemetry: Telemetry) -> None:
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(receiver.endpoint + "/v1/metrics"), 60_000)
    provider = MeterProvider([reader], resource=RESOURCE)
    counter = provider.get_meter("test").create_counter("things")
    counter.add(1, {"kind": "a"})
    counter.add(1, {"kind": "b"})
    provider.get_meter("test").create_histogram("times").record(0.5)
    provider.shutdown()
    assert telemetry.received()[Signal.METRICS] == 3


def test_an_alert_event_of_a_real_exporter_is_kept_whole(receiver: Receiver, telemetry: Telemetry) -> None:
    provider = LoggerProvider(resource=RESOURCE)
    provider.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(receiver.endpoint + "/v1/logs")))
    logger = provider.get_logger("test")
    logger.emit(LogRecord(timestamp=1, severity_number=SeverityNumber.INFO, body="something else"))
    logger.emit(
        LogRecord(
            timestamp=1_700_000_000_500_000_000,
            severity_number=SeverityNumber.ERROR,
            event_name=ALERT_EVENT,
            attributes=ALERT,
        )
    )
    provider.shutdown()
    assert telemetry.received()[Signal.LOGS] == 2
    assert telemetry.alerts() == [
        AlertEvent(
            id="a1",
            at=1_700_000_000.5,
            reporter="w1",
            rule="worker_lost",
            pattern="heartbeat_degradation",
            severity="critical",
            state="firing",
            summary="no heartbeat for 2.1 s",
            trace_id="",
        )
    ]


def test_an_alert_that_is_sent_twice_counts_once(telemetry: Telemetry) -> None:
    telemetry.take(Signal.LOGS, alerts_at(1, 2))
    telemetry.take(Signal.LOGS, alerts_at(2, 3))
    assert [alert.at for alert in telemetry.alerts()] == [1e-9, 2e-9, 3e-9]


def test_what_is_kept_is_bounded_and_the_rest_counted(telemetry: Telemetry) -> None:
    telemetry.take(Signal.LOGS, alerts_at(*range(1, MAX_ALERTS + 51)))
    assert len(telemetry.alerts()) == MAX_ALERTS
    assert telemetry.dropped == 50

    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    for number in range(MAX_NAMES + 30):
        spans.add(name=f"span {number}")
    telemetry.take(Signal.TRACES, request)
    assert len(telemetry.spans()) == MAX_NAMES + 1
    assert telemetry.spans()["(other)"] == 30


PROTOBUF = {"Content-Type": "application/x-protobuf"}


@pytest.mark.parametrize(
    ("path", "headers", "body", "status"),
    [
        ("/v1/profiles", PROTOBUF, b"", 404),
        ("/v1/traces", {"Content-Type": "application/json"}, b"{}", 415),
        ("/v1/traces", PROTOBUF, b"\xff\xff\xff", 400),
        ("/v1/traces", PROTOBUF | {"Content-Encoding": "br"}, b"", 415),
        ("/v1/traces", PROTOBUF | {"Content-Encoding": "gzip"}, b"not gzip", 400),
        ("/v1/traces", PROTOBUF | {"Content-Encoding": "gzip"}, gzip.compress(bytes(MAX_BODY_BYTES + 1)), 413),
    ],
    ids=["path", "json", "garbage", "encoding", "broken gzip", "gzip bomb"],
)
def test_what_it_cannot_take_is_refused(
    path: str, headers: dict[str, str], body: bytes, status: int, receiver: Receiver
) -> None:
    request = urllib.request.Request(receiver.endpoint + path, data=body, headers=headers)
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(request, timeout=5)
    assert refusal.value.code == status
    refusal.value.close()


def alerts_at(*times: int) -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    records = request.resource_logs.add().scope_logs.add().log_records
    for time in times:
        records.add(time_unix_nano=time, event_name=ALERT_EVENT)
    return request


def test_a_sender_that_dies_in_the_middle_leaves_no_traceback(
    receiver: Receiver, capfd: pytest.CaptureFixture[str]
) -> None:
    port = int(receiver.endpoint.rpartition(":")[2])
    before = threading.active_count()
    with socket.create_connection(("127.0.0.1", port)) as sender:
        head = "POST /v1/traces HTTP/1.1\r\nContent-Type: application/x-protobuf\r\nContent-Length: 10\r\n\r\n"
        sender.sendall(head.encode())
        eventually(lambda: threading.active_count() > before, what="its thread")
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closes with a reset
    eventually(lambda: threading.active_count() == before, what="the end of its thread")
    assert capfd.readouterr().err == ""
