"""Exporters that never hurt: each wraps one of the user's choice.

Whatever happens at the other end, an export returns, no traceback is logged, losses are counted, and the user
is told once a minute at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_monitor.delivery import Delivery, HeldBack
from otel_monitor.export_notice import ExportNotice, Signal


class ResilientSpanExporter(SpanExporter):
    """A span exporter whose failures stay its own."""

    def __init__(self, inner: SpanExporter, delivery: Delivery) -> None:
        self.inner = inner
        self.delivery = delivery

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self.delivery.run(lambda: self.inner.export(spans), len(spans), SpanExportResult.FAILURE)

    def shutdown(self) -> None:
        self.delivery.shut()
        self.inner.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self.inner.force_flush(timeout_millis)


class ResilientLogRecordExporter(LogRecordExporter):
    """A log-record exporter whose failures stay its own."""

    def __init__(self, inner: LogRecordExporter, delivery: Delivery) -> None:
        self.inner = inner
        self.delivery = delivery

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        return self.delivery.run(lambda: self.inner.export(batch), len(batch), LogRecordExportResult.FAILURE)

    def shutdown(self) -> None:
        self.delivery.shut()
        self.inner.shutdown()  # type: ignore[no-untyped-call]  # the SDK's class is not annotated in full

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self.inner.force_flush(timeout_millis)


class ResilientMetricExporter(MetricExporter):
    """A metric exporter whose failures stay its own."""

    def __init__(self, inner: MetricExporter, delivery: Delivery) -> None:
        super().__init__(inner._preferred_temporality, inner._preferred_aggregation)  # noqa: SLF001 - as the SDK asks for
        self.inner = inner
        self.delivery = delivery

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        return self.delivery.run(
            lambda: self.inner.export(metrics_data, timeout_millis=timeout_millis, **kwargs),
            _points(metrics_data),
            MetricExportResult.FAILURE,
        )

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        self.delivery.shut()
        self.inner.shutdown(timeout_millis=timeout_millis, **kwargs)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return self.inner.force_flush(timeout_millis)


class Exports:
    """All wrapped exporters of this process."""

    def __init__(self, notice: ExportNotice | None = None) -> None:
        self.notice = notice if notice is not None else ExportNotice()
        self._held_back = HeldBack()
        self._held_back.overflowing = self._any_queue_full
        self._deliveries: list[Delivery] = []

    def spans(self, exporter: SpanExporter) -> ResilientSpanExporter:
        if isinstance(exporter, ResilientSpanExporter):
            return exporter
        return ResilientSpanExporter(exporter, self._delivery(Signal.TRACES, exporter))

    def logs(self, exporter: LogRecordExporter) -> ResilientLogRecordExporter:
        if isinstance(exporter, ResilientLogRecordExporter):
            return exporter
        return ResilientLogRecordExporter(exporter, self._delivery(Signal.LOGS, exporter))

    def metrics(self, exporter: MetricExporter) -> ResilientMetricExporter:
        if isinstance(exporter, ResilientMetricExporter):
            return exporter
        return ResilientMetricExporter(exporter, self._delivery(Signal.METRICS, exporter))

    def closing(self, deadline: float) -> None:
        """The process ends at `deadline` of the monotonic clock: no export lasts longer, and then all fail at once."""
        self._held_back.closing = True
        self.notice.closing()
        for delivery in self._deliveries:
            delivery.closing(deadline)

    def close(self) -> None:
        """Say what is left to be said, and count what is left behind."""
        for delivery in self._deliveries:
            delivery.abandon()
        self.notice.close()

    def forked(self) -> None:
        """In a forked child: a state of its own."""
        self._held_back.closing = False
        self.notice.reset()
        for delivery in self._deliveries:
            delivery.forked()

    def _delivery(self, signal: Signal, exporter: object) -> Delivery:
        self._held_back.watch(exporter)
        delivery = Delivery(signal, exporter, self.notice)
        self._deliveries.append(delivery)
        return delivery

    def _any_queue_full(self) -> bool:
        return any(delivery.queue is not None and delivery.queue.full for delivery in self._deliveries)


def _points(data: MetricsData) -> int:
    return sum(
        len(metric.data.data_points)
        for resource_metrics in data.resource_metrics
        for scope_metrics in resource_metrics.scope_metrics
        for metric in scope_metrics.metrics
    )
