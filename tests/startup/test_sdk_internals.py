"""The private parts of the SDK that we reach into are there in the installed version, and do what we think."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, ConsoleLogRecordExporter, LogRecordExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, InMemoryMetricReader, MetricExporter
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader as PeriodicReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_monitor import exporter_internals, provider_internals
from otel_monitor.export_cause import Cause
from tests.startup.receiver import Status, receiving


@pytest.fixture
def tracer_provider() -> Iterator[TracerProvider]:
    provider = TracerProvider()
    yield provider
    provider.shutdown()


def test_a_provider_ends_at_exit_until_it_has_ended() -> None:
    for provider in (TracerProvider(), LoggerProvider(), MeterProvider()):
        assert provider_internals.ends_at_exit(provider)
        provider.shutdown()
        assert not provider_internals.ends_at_exit(provider)
    assert not provider_internals.ends_at_exit(TracerProvider(shutdown_on_exit=False))


def test_processors_and_readers_are_found_in_order(tracer_provider: TracerProvider) -> None:
    first, second = SimpleSpanProcessor(InMemorySpanExporter()), SimpleSpanProcessor(InMemorySpanExporter())
    tracer_provider.add_span_processor(first)
    tracer_provider.add_span_processor(second)
    assert provider_internals.span_processors(tracer_provider) == (first, second)
    reader, added = InMemoryMetricReader(), InMemoryMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    meters.add_metric_reader(added)
    assert provider_internals.metric_readers(meters) == (reader, added)


def test_exporters_are_wrapped_in_every_kind_of_holder() -> None:
    batch, simple = BatchSpanProcessor(InMemorySpanExporter()), SimpleSpanProcessor(InMemorySpanExporter())
    logs, reader = BatchLogRecordProcessor(ConsoleLogRecordExporter()), PeriodicReader(ConsoleMetricExporter())
    holders: tuple[tuple[Any, type[Any]], ...] = (
        (batch, SpanExporter),
        (simple, SpanExporter),
        (logs, LogRecordExporter),
        (reader, MetricExporter),
    )
    for holder, kind in holders:
        wrapped = provider_internals.wrap_exporter(holder, kind, copy.copy)
        assert isinstance(wrapped, kind)
        assert provider_internals.wrap_exporter(holder, kind, lambda exporter: exporter) is None
        holder.shutdown()


def test_what_a_full_queue_drops_is_told() -> None:
    exporting = threading.Event()

    class Stuck(InMemorySpanExporter):
        def export(self, spans: Any) -> Any:
            exporting.wait(20)
            return super().export(spans)

    lost: list[tuple[int, str]] = []
    processor = BatchSpanProcessor(Stuck(), max_queue_size=4, max_export_batch_size=4)
    queue = provider_internals.watch_queue(processor, lambda items, reason: lost.append((items, reason)))
    assert queue is not None
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    for _ in range(12):
        provider.get_tracer("test").start_span("span").end()
    assert queue.full
    assert queue.waiting == 4
    assert 4 <= len(lost) <= 8
    assert set(lost) == {(1, "queue_full")}
    exporting.set()
    provider.shutdown()


def test_renewed_metrics_begin_at_zero() -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    counter = provider.get_meter("test").create_counter("orders")
    counter.add(100)
    provider_internals.renew_metrics(provider)
    assert reader.get_metrics_data() is None
    counter.add(1)
    assert '"value": 1,' in str(reader.get_metrics_data().to_json())  # type: ignore[union-attr]  # there is one now


@pytest.mark.parametrize("kind", [HttpSpanExporter, GrpcSpanExporter])
def test_an_otlp_exporter_is_renewed_limited_and_told_to_try_once(kind: Any) -> None:
    exporter = kind(endpoint="http://user:secret@127.0.0.1:9/v1/traces")
    assert exporter_internals.endpoint_of(exporter) in ("http://127.0.0.1:9", "127.0.0.1:9")
    holder, event = (
        (exporter._client, "_shutdown_event") if kind is HttpSpanExporter else (exporter, "_shutdown_in_progress")
    )
    connections = exporter._client._transport._session if kind is HttpSpanExporter else exporter._channel
    exporter_internals.limit_time(exporter, 0.5)
    assert holder._timeout == 0.5
    exporter_internals.end_retries(exporter)
    assert getattr(holder, event).is_set()
    exporter_internals.renew(exporter)
    assert not getattr(holder, event).is_set()
    renewed = exporter._client._transport._session if kind is HttpSpanExporter else exporter._channel
    assert renewed is not connections
    exporter.shutdown()


def test_the_cause_of_a_failed_request_is_told() -> None:
    causes: list[Cause] = []
    with receiving(Status(404)) as receiver:
        exporter: Any = HttpSpanExporter(endpoint=f"{receiver.endpoint}/v1/traces")
        exporter_internals.watch_answers(exporter, causes.append)
        exporter.export([])
    assert [cause.text for cause in causes] == ["HTTP 404 Not Found"]
    exporter.shutdown()


def test_an_exporter_of_somebody_else_is_left_as_it_is() -> None:
    exporter = InMemorySpanExporter()
    before = dict(vars(exporter))
    exporter_internals.limit_time(exporter, 1)
    exporter_internals.end_retries(exporter)
    exporter_internals.renew(exporter)
    exporter_internals.watch_answers(exporter, lambda _: None)
    assert vars(exporter) == before
    assert exporter_internals.endpoint_of(exporter) == "InMemorySpanExporter"
