"""The stock SDK's instruments behind our protocol: for any meter provider, at the SDK's price."""

from __future__ import annotations

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanContext

from otel_monitor.telemetry.instruments import DURATION_BUCKETS_S, SCOPE, Counter, Histogram, Instrument, Key, Part

_NO_SPAN = trace.set_span_in_context(trace.INVALID_SPAN, Context())
"""Not empty: for an empty context the SDK takes the current one."""


def context_of(span: SpanContext | None) -> Context:
    """A context in which `span` is the current one, so that the SDK makes it an exemplar."""
    if span is None:
        return _NO_SPAN
    return trace.set_span_in_context(trace.NonRecordingSpan(span), Context())


class StockHistogram:
    """A histogram of the SDK's."""

    def __init__(self, instrument: Instrument, stock: metrics.Histogram) -> None:
        self.stock = stock
        self._instrument = instrument

    def record(self, value: float, key: Key = (), span: SpanContext | None = None) -> None:
        self.stock.record(value, self._instrument.attributes_of(key), context_of(span))


class StockHistogramWithPart:
    """A histogram of the SDK's, and another one for a part of what it records."""

    def __init__(self, whole: StockHistogram, part: StockHistogram, first: str) -> None:
        self._whole = whole
        self._part = part
        self._first = first

    def record(self, value: float, key: Key = (), span: SpanContext | None = None) -> None:
        self._whole.record(value, key, span)
        if key and key[0] == self._first:
            self._part.record(value, (), span)


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

    def histogram(self, instrument: Instrument, part: Part | None = None) -> Histogram:
        whole = self.stock_histogram(instrument)
        if part is None:
            return whole
        return StockHistogramWithPart(whole, self.stock_histogram(part.instrument), part.first)

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
