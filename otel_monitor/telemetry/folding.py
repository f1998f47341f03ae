"""Hands our aggregates to the SDK's own aggregations when one of its readers collects.

The SDK has no public way to add many measurements at once, so this one module reaches into it: into the
aggregations of the stock instruments, under their own locks. Views, temporality, cardinality limits,
exemplar filters and every kind of reader therefore stay the SDK's business. `supported` tries it all on a
provider of its own first; where anything is missing, the stock instruments serve instead.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricsData
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import SpanContext, TraceFlags

from otel_monitor.telemetry.aggregates import (
    OVERFLOW,
    CounterAggregate,
    CounterCell,
    Exemplar,
    HistogramAggregate,
    HistogramCell,
)
from otel_monitor.telemetry.instruments import (
    DURATION_BUCKETS_S,
    ERRORS,
    HEARTBEAT_DURATION,
    SCOPE,
    Counter,
    Histogram,
    Instrument,
    Key,
    Part,
)
from otel_monitor.telemetry.stock import StockCounter, StockHistogram, StockInstruments, context_of

_logger = logging.getLogger("otel_monitor")
_OVERFLOW_ATTRIBUTES = {"otel.metric.overflow": True}

Cells = Sequence[tuple[Key, HistogramCell | CounterCell]]


class _Output(NamedTuple):
    """One stock instrument that an aggregate is folded into, and which of its cells under which keys."""

    stock: StockHistogram | StockCounter
    instrument: Instrument
    select: Callable[[Cells], Cells]


class _Source(NamedTuple):
    """An aggregate, where it goes, and the stock instrument for readers that it cannot serve."""

    aggregate: HistogramAggregate | CounterAggregate
    outputs: tuple[_Output, ...]
    direct: Any


class FoldedInstruments:
    """Instruments that aggregate by themselves, and are folded into the stock ones at each collection."""

    def __init__(self, provider: MeterProvider) -> None:
        self._stock = StockInstruments(provider)
        self._consumer: Any = provider._measurement_consumer  # noqa: SLF001 - see the module's docstring
        self._storages: object = None
        self._sources: list[_Source] = []

    def histogram(self, instrument: Instrument, part: Part | None = None) -> Histogram:
        aggregate = HistogramAggregate(instrument)
        outputs = [_Output(self._stock.stock_histogram(instrument), instrument, _whole)]
        if part is not None:
            outputs.append(_Output(self._stock.stock_histogram(part.instrument), part.instrument, _part(part.first)))
        self._add(_Source(aggregate, tuple(outputs), self._stock.histogram(instrument, part)))
        return aggregate

    def counter(self, instrument: Instrument) -> Counter:
        aggregate = CounterAggregate(instrument)
        stock = self._stock.stock_counter(instrument)
        self._add(_Source(aggregate, (_Output(stock, instrument, _whole),), stock))
        return aggregate

    @property
    def overflowed(self) -> int:
        """How many values went to the overflow series."""
        return sum(source.aggregate.overflowed for source in self._sources)

    def fold(self) -> None:
        """Add what was recorded since the last time to the stock aggregations of every reader."""
        if self._consumer._reader_storages is not self._storages:  # noqa: SLF001
            self._storages = self._consumer._reader_storages  # noqa: SLF001
            for source in self._sources:
                self._choose(source)
        for source in self._sources:
            cells = source.aggregate.drain()
            if cells:
                self._fold(source, list(cells.items()))

    def reset_after_fork(self) -> None:
        for source in self._sources:
            source.aggregate.reset_after_fork()

    def _add(self, source: _Source) -> None:
        self._sources.append(source)
        self._choose(source)

    def _choose(self, source: _Source) -> None:
        """Buckets serve the readers that want these very buckets; else every value goes to the SDK singly."""
        matches = [match for output in source.outputs for match in self._matches(output)]
        source.aggregate.direct = None if all(map(_foldable, matches)) else source.direct

    def _matches(self, output: _Output) -> Iterator[Any]:
        for storage in self._consumer._reader_storages.values():  # noqa: SLF001
            yield from storage._get_or_init_view_instrument_match(output.stock.stock)  # noqa: SLF001

    def _fold(self, source: _Source, cells: Cells) -> None:
        for output in source.outputs:
            selected = output.select(cells)
            for match in self._matches(output):
                if _foldable(match) and not _dropped(match):
                    for key, cell in selected:
                        self._fold_into(match, output.instrument, key, cell)

    def _fold_into(self, match: Any, instrument: Instrument, key: Key, cell: HistogramCell | CounterCell) -> None:
        whole: dict[str, Any] = dict(_OVERFLOW_ATTRIBUTES if key is OVERFLOW else instrument.attributes_of(key))
        attributes = _selected(match, whole)
        with match._lock:  # noqa: SLF001 - held until the values are in: a delta collection drops the aggregation
            aggregation = match._get_or_create_aggregation(_hashed(attributes), attributes)  # noqa: SLF001
            _start_earlier(match, aggregation, cell.started_ns)
            if isinstance(cell, HistogramCell):
                _fold_histogram(aggregation, cell)
            else:
                _fold_counter(aggregation, cell)
        for value, at_ns, span in _exemplars(cell):
            context = context_of(span)
            if self._consumer._sdk_config.exemplar_filter.should_sample(value, at_ns, whole, context):  # noqa: SLF001
                aggregation._reservoir.offer(value, at_ns, whole, context)  # noqa: SLF001


def instruments_for(provider: metrics.MeterProvider) -> FoldedInstruments | StockInstruments:
    """The cheapest instruments that work on this provider."""
    if isinstance(provider, MeterProvider) and isinstance(provider.get_meter(SCOPE), metrics.NoOpMeter):
        return StockInstruments(provider)  # the SDK is disabled, or was shut down
    if isinstance(provider, MeterProvider) and supported():
        return FoldedInstruments(provider)
    _logger.debug(
        "otel-monitor: %s takes no aggregates; metrics are recorded one value at a time", type(provider).__qualname__
    )
    return StockInstruments(provider)


@functools.cache
def supported() -> bool:
    """Whether this SDK's aggregations take ours: tried once, against what the stock instruments give."""
    try:
        return _tried(FoldedInstruments) == _tried(StockInstruments)
    except Exception:  # whatever a foreign version of the SDK answers, the stock instruments serve
        _logger.debug("otel-monitor: this OpenTelemetry SDK takes no aggregates", exc_info=True)
        return False


def _tried(make: Callable[[MeterProvider], FoldedInstruments | StockInstruments]) -> object:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], Resource.get_empty(), shutdown_on_exit=False)
    instruments = make(provider)
    histogram, counter = instruments.histogram(HEARTBEAT_DURATION), instruments.counter(ERRORS)
    span = SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    for value in (0.02, 0.02, 99.0):
        histogram.record(value)
        counter.add(1, ("network",))
    histogram.record(0.5, (), span)
    if isinstance(instruments, FoldedInstruments):
        instruments.fold()
    data = reader.get_metrics_data()
    provider.shutdown()
    return list(_figures(data))


def _figures(data: MetricsData | None) -> Iterator[object]:
    for resource in data.resource_metrics if data is not None else ():
        for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
            for point in metric.data.data_points:
                for exemplar in point.exemplars:
                    yield exemplar.value, exemplar.span_id
                yield {name: value for name, value in vars(point).items() if "nano" not in name and name != "exemplars"}


def _foldable(match: Any) -> bool:
    """A view can aggregate anything in any way: cells serve the instrument's own, and no aggregation at all."""
    aggregation = match._aggregation  # noqa: SLF001
    kind = type(aggregation).__name__
    if kind == "_DropAggregation":
        return True
    if isinstance(match._instrument, metrics.Counter):  # noqa: SLF001
        return kind == "_SumAggregation"
    return kind == "_ExplicitBucketHistogramAggregation" and aggregation._boundaries == DURATION_BUCKETS_S  # noqa: SLF001


def _dropped(match: Any) -> bool:
    return type(match._aggregation).__name__ == "_DropAggregation"  # noqa: SLF001


def _selected(match: Any, attributes: dict[str, Any]) -> dict[str, Any]:
    keys = match._view._attribute_keys  # noqa: SLF001
    return attributes if keys is None else {name: value for name, value in attributes.items() if name in keys}


def _hashed(attributes: dict[str, Any]) -> object:
    from opentelemetry.sdk.metrics._internal._view_instrument_match import _hash_attributes

    return _hash_attributes(attributes)


def _start_earlier(match: Any, aggregation: Any, started_ns: int) -> None:
    """A new aggregation starts with our first value, not with this collection; a delta goes on from the last one."""
    if match._previous_collection_start_nanos is None and started_ns < aggregation._start_time_unix_nano:  # noqa: SLF001
        aggregation._start_time_unix_nano = started_ns  # noqa: SLF001
        aggregation._previous_collection_start_nano = started_ns  # noqa: SLF001


def _fold_histogram(aggregation: Any, cell: HistogramCell) -> None:
    with aggregation._lock:  # noqa: SLF001
        counts = aggregation._value or aggregation._get_empty_bucket_counts()  # noqa: SLF001
        aggregation._value = [mine + more for mine, more in zip(counts, cell.counts, strict=True)]  # noqa: SLF001
        aggregation._sum += cell.total  # noqa: SLF001
        if aggregation._record_min_max:  # noqa: SLF001
            aggregation._min = min(aggregation._min, cell.minimum)  # noqa: SLF001
            aggregation._max = max(aggregation._max, cell.maximum)  # noqa: SLF001


def _fold_counter(aggregation: Any, cell: CounterCell) -> None:
    with aggregation._lock:  # noqa: SLF001
        aggregation._value = (aggregation._value or 0) + cell.total  # noqa: SLF001


def _whole(cells: Cells) -> Cells:
    return cells


def _part(first: str) -> Callable[[Cells], Cells]:
    return lambda cells: [((), cell) for key, cell in cells if key and key[0] == first]


def _exemplars(cell: HistogramCell | CounterCell) -> Iterable[Exemplar]:
    if isinstance(cell, HistogramCell):
        return cell.exemplars.values()
    return () if cell.exemplar is None else (cell.exemplar,)
