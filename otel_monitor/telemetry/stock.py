"""The stock SDK's instruments behind our protocol: for any meter provider, at the SDK's price."""

from __future__ import annotations

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanContext

from otel_monitor.telemetry.instruments import DURATION_BUCKETS_S, SCOPE, Counter, Histogram, Instrument, Key


def context_of(span: SpanContext | None) -> Context:
    """A context in which `span` is the current one, so that the SDK makes it an exemplar."""
    if span is None:
        return Context()
    return trace.set_span_in_context(trace.NonRecordingSpan(span), Context())


class StockHistogram:
    """A histogram of the SDK's."""

    def __init__(self, instrument: Instrument, stock: metrics.Histogram) -> None:
        self.stock = stock
        self._instrument = instrument

    def record(self, value: float, key: Key = (), span: SpanContext | None = None) -> None:
        self.stock.record(value, self._instrument.attributes_of(key), context_of(span))


class StockCounter:
    """A counter of the SDK's."""

    def __init__(self, instrument: Instrument, stock: metrics.Counter) -> None:
        self.stock = stock
        self._instrument = instrument

    def add(self, amount: float, key: Key = (), span: SpanContext | None = None) -> None:
        self.stock.add(amount, self._instrument.attributes_of(key), context_of(span))


class StockInstruments:
    """Makes the SDK's own instruments."""

    def __init__(self, provider: metrics.MeterProvider) -> None:
        self._meter = provider.get_meter(SCOPE)

    def histogram(self, instrument: Instrument) -> Histogram:
        return self.stock_histogram(instrument)

    def counter(self, instrument: Instrument) -> Counter:
        return self.stock_counter(instrument)

    def stock_histogram(self, instrument: Instrument) -> StockHistogram:
        stock = self._meter.create_histogram(
            instrument.name,
            instrument.unit,
            instrument.meaning,
            explicit_bucket_boundaries_advisory=DURATION_BUCKETS_S,
        )
        return StockHistogram(instrument, stock)

    def stock_counter(self, instrument: Instrument) -> StockCounter:
        return StockCounter(
            instrument, self._meter.create_counter(instrument.name, instrument.unit, instrument.meaning)
        )
