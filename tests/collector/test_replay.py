"""What a real Collector's file exporter writes can be replayed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode

from otel_monitor.cli import main
from tests.collector.conftest import Collector
from tests.polling import eventually

RESOURCE = Resource({"service.name": "shop", "service.instance.id": "w1"})


def test_what_the_collector_has_written_is_read_whole(
    collector: Collector, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    endpoint = collector.http_endpoint
    spans = TracerProvider(resource=RESOURCE)
    spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{endpoint}/v1/traces")))
    for number in range(50):
        with spans.get_tracer("app").start_as_current_span("work", kind=SpanKind.SERVER) as span:
            span.set_attributes({"number": number, "tags": ["a", "b"]})
            if number % 2:
                span.set_status(Status(StatusCode.ERROR, "Connection refused"))
    spans.shutdown()
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(f"{endpoint}/v1/metrics"))
    metrics = MeterProvider([reader], RESOURCE)
    metrics.get_meter("app").create_counter("jobs").add(1)
    metrics.get_meter("app").create_histogram("took", unit="s").record(0.1)
    metrics.get_meter("app").create_gauge("pool.utilization", unit="1").set(0.5)
    metrics.shutdown()
    eventually(lambda: len(collector.spans()) == 50 and len(collector.metrics()) >= 3, 30, "telemetry in the file")

    assert main(["replay", str(collector.file)]) == 0
    shown = capsys.readouterr()
    *alerts, summary = [json.loads(line) for line in shown.out.splitlines()]
    assert shown.err == ""
    assert (summary["spans"], summary["malformed"], summary["late"]) == (50, 0, 0)
    assert summary["metrics"] >= 3
    assert {alert["rule"] for alert in alerts} == {"high_error_rate", "critical_error_rate"}
