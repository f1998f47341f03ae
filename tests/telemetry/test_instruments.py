"""Our own aggregation exports what the stock SDK's would: the same suite runs against both, and compares them."""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest
from opentelemetry.context import attach, detach
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import (
    AlwaysOffExemplarFilter,
    Counter,
    Histogram,
    MeterProvider,
    TraceBasedExemplarFilter,
)
from opentelemetry.sdk.metrics._internal import (
    _view_instrument_match,
    aggregation,
    measurement_consumer,
    metric_reader_storage,
)
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.metrics.view import (
    DropAggregation,
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
    SumAggregation,
    View,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from otel_monitor.telemetry import folding
from otel_monitor.telemetry.folding import FoldedInstruments, instruments_for
from otel_monitor.telemetry.instruments import (
    DURATION_BUCKETS_S,
    HEARTBEAT_DURATION,
    INSTRUMENTS,
    MAX_SERIES,
    Instruments,
    Kind,
    Part,
)
from otel_monitor.telemetry.instruments import ERRORS as ERRORS_ROW
from otel_monitor.telemetry.instruments import OPERATION_DURATION as DURATION_ROW
from otel_monitor.telemetry.stock import StockInstruments

_to_dict: Any = import_module("google.protobuf.json_format").MessageToDict  # has no types

CUMULATIVE: dict[type, AggregationTemporality] = {}
DELTA: dict[type, AggregationTemporality] = {
    Counter: AggregationTemporality.DELTA,
    Histogram: AggregationTemporality.DELTA,
}
SPAN = SpanContext(7, 8, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))

Record = Callable[["Side"], None]


class Side:
    """One meter provider with readers, and our instruments on it, aggregated by ourselves or by the SDK."""

    def __init__(self, *, folded: bool, readers: list[InMemoryMetricReader], **provider: Any) -> None:
        self.readers = readers
        self.provider = MeterProvider(readers, Resource({"service.name": "s"}), shutdown_on_exit=False, **provider)
        self.instruments: Instruments = FoldedInstruments(self.provider) if folded else StockInstruments(self.provider)
        self.duration = self.instruments.histogram(DURATION_ROW, Part(HEARTBEAT_DURATION, "heartbeat"))
        self.errors = self.instruments.counter(ERRORS_ROW)

    def collect(self, reader: int = 0) -> dict[str, Any]:
        """What the reader exports now, without the times."""
        exported: dict[str, Any] = _timeless(self.collect_with_times(reader))
        return exported

    def collect_with_times(self, reader: int = 0) -> dict[str, Any]:
        if isinstance(self.instruments, FoldedInstruments):
            self.instruments.fold()
        data = self.readers[reader].get_metrics_data()
        exported: dict[str, Any] = _to_dict(encode_metrics(data)) if data is not None else {}
        return exported


class Both:
    """The same, twice."""

    def __init__(self, temporalities: list[dict[type, AggregationTemporality]], **provider: Any) -> None:
        self.sides = [
            Side(folded=folded, readers=[InMemoryMetricReader(kinds) for kinds in temporalities], **provider)
            for folded in (True, False)
        ]

    @property
    def folded(self) -> Side:
        return self.sides[0]

    def record(self, record: Record) -> None:
        for side in self.sides:
            record(side)

    def collect(self, reader: int = 0) -> dict[str, Any]:
        """What both export, which is the same."""
        ours, stock = (side.collect(reader) for side in self.sides)
        assert ours == stock
        return ours


def _timeless(value: Any) -> Any:
    """Without the times, metrics by name, sums to twelve digits: adding up in another order rounds differently."""
    if isinstance(value, dict):
        return {
            name: float(f"{item:.12g}") if name == "sum" and isinstance(item, float) else _timeless(item)
            for name, item in value.items()
            if not name.lower().endswith("timeunixnano")
        }
    if isinstance(value, list):
        items = [_timeless(item) for item in value]
        return sorted(items, key=lambda item: item["name"]) if items and _is_metric(items[0]) else items
    return value


def _is_metric(item: Any) -> bool:
    return isinstance(item, dict) and "unit" in item


def _metrics(exported: dict[str, Any]) -> dict[str, Any]:
    return {
        metric["name"]: metric
        for resource in exported.get("resourceMetrics", ())
        for scope in resource["scopeMetrics"]
        for metric in scope["metrics"]
    }


def _points(exported: dict[str, Any], name: str) -> list[dict[str, Any]]:
    metric = _metrics(exported)[name]
    points: list[dict[str, Any]] = next(
        metric[kind] for kind in ("histogram", "sum", "exponentialHistogram") if kind in metric
    )["dataPoints"]
    return points


def _a_busy_hour(side: Side) -> None:
    dice = random.Random(3)
    for _ in range(500):
        side.duration.record(dice.expovariate(1.0), ("process", None))
        side.duration.record(dice.choice(DURATION_BUCKETS_S), ("assign", None))
        if dice.random() < 0.1:
            side.duration.record(0.0, ("process", "ValueError"))
            side.duration.record(dice.random(), ("heartbeat", None))
            side.duration.record(dice.random(), ("heartbeat", "TimeoutError"))
            side.errors.add(1, ("network",))


@pytest.mark.parametrize("temporality", [CUMULATIVE, DELTA], ids=["cumulative", "delta"])
def test_the_same_values_give_the_same_export(temporality: dict[type, AggregationTemporality]) -> None:
    both = Both([temporality])
    for _ in range(3):
        both.record(_a_busy_hour)
        exported = both.collect()
        assert set(_metrics(exported)) == {
            "orchestrator.operation.duration",
            "orchestrator.heartbeat.duration",
            "orchestrator.errors",
        }
        assert exported["resourceMetrics"][0]["scopeMetrics"][0]["scope"] == {"name": "otel_monitor.instrumentation"}


def test_a_part_of_a_histogram_is_a_metric_of_its_own() -> None:
    both = Both([CUMULATIVE])

    def record(side: Side) -> None:
        side.duration.record(0.2, ("heartbeat", None), SPAN)
        side.duration.record(3.0, ("heartbeat", "TimeoutError"))
        side.duration.record(5.0, ("process", None))

    both.record(record)
    (point,) = _points(both.collect(), "orchestrator.heartbeat.duration")
    assert (point["count"], point["sum"], "attributes" in point) == ("2", 3.2, False)
    assert [exemplar["asDouble"] for exemplar in point["exemplars"]] == [0.2]


@pytest.mark.parametrize("temporality", [CUMULATIVE, DELTA], ids=["cumulative", "delta"])
def test_a_collection_without_new_values_is_the_same(temporality: dict[type, AggregationTemporality]) -> None:
    both = Both([temporality])
    assert both.collect() == {}
    both.record(_a_busy_hour)
    both.collect()
    assert bool(both.collect()) is (temporality is CUMULATIVE)
    both.record(lambda side: side.duration.record(2.0, ("assign", None)))
    both.collect()


def test_readers_of_both_temporalities_each_see_every_value_once() -> None:
    both = Both([CUMULATIVE, DELTA])
    for total, reader in enumerate((0, 1, 1, 0, 0, 1), start=1):
        both.record(_a_busy_hour)
        exported = both.collect(reader)
        if reader == 0:
            counts = [int(point["count"]) for point in _points(exported, "orchestrator.operation.duration")]
            assert counts[:2] == [500 * total, 500 * total]


def test_times_are_those_of_the_values() -> None:
    both = Both([CUMULATIVE])
    side = both.folded
    before = time.time_ns()
    side.duration.record(1.0, ("process", None))
    side.errors.add(1, ("network",))
    recorded = time.time_ns()
    for _ in range(2):
        exported = side.collect_with_times()
        for name in ("orchestrator.operation.duration", "orchestrator.errors"):
            (point,) = _points(exported, name)
            assert before <= int(point["startTimeUnixNano"]) <= recorded <= int(point["timeUnixNano"])
        side.duration.record(1.0, ("process", None))


def test_deltas_follow_each_other_without_gap_or_overlap() -> None:
    side = Both([DELTA]).folded
    ends: list[int] = []
    for _ in range(3):
        side.duration.record(1.0, ("process", None))
        (point,) = _points(side.collect_with_times(), "orchestrator.operation.duration")
        if ends:
            assert int(point["startTimeUnixNano"]) == ends[-1]
        assert int(point["startTimeUnixNano"]) < int(point["timeUnixNano"])
        ends.append(int(point["timeUnixNano"]))


@pytest.mark.parametrize("temporality", [CUMULATIVE, DELTA], ids=["cumulative", "delta"])
def test_beyond_the_limit_of_series_everything_is_one(temporality: dict[type, AggregationTemporality]) -> None:
    both = Both([temporality])

    def flood(side: Side) -> None:
        for number in range(MAX_SERIES + 500):
            side.duration.record(0.1, (f"operation {number}", None))
            side.errors.add(1, (f"category {number}",))

    both.record(flood)
    points = _points(both.collect(), "orchestrator.operation.duration")
    assert len(points) == MAX_SERIES + 1
    overflow = [point for point in points if point["attributes"][0]["key"] == "otel.metric.overflow"]
    assert [point["count"] for point in overflow] == ["500"]
    both.record(flood)
    both.collect()
    folded = both.folded.instruments
    assert isinstance(folded, FoldedInstruments)
    assert folded.overflowed == 2 * 2 * 500


def test_a_sampled_span_becomes_the_exemplar_of_its_bucket() -> None:
    both = Both([CUMULATIVE])

    def record(side: Side) -> None:
        for value in (0.2, 0.21, 4.0):
            side.duration.record(value, ("process", None), SPAN)
        side.duration.record(0.22, ("process", None))
        side.errors.add(1, ("network",), SPAN)

    both.record(record)
    exported = both.collect()
    (point,) = _points(exported, "orchestrator.operation.duration")
    assert [exemplar["asDouble"] for exemplar in point["exemplars"]] == [0.21, 4.0]
    assert len(_points(exported, "orchestrator.errors")[0]["exemplars"]) == 1
    both.record(lambda side: side.duration.record(0.2, ("process", None)))
    assert "exemplars" not in _points(both.collect(), "orchestrator.operation.duration")[0]


def test_a_value_without_a_span_has_no_exemplar_whatever_span_is_current() -> None:
    both = Both([CUMULATIVE])
    token = attach(set_span_in_context(NonRecordingSpan(SPAN)))
    both.record(lambda side: side.duration.record(0.2, ("process", None)))
    both.record(lambda side: side.errors.add(1, ("network",)))
    detach(token)
    assert "exemplars" not in _points(both.collect(), "orchestrator.errors")[0]


@pytest.mark.parametrize("exemplar_filter", [AlwaysOffExemplarFilter(), TraceBasedExemplarFilter()])
def test_the_users_exemplar_filter_decides(exemplar_filter: Any) -> None:
    both = Both([CUMULATIVE], exemplar_filter=exemplar_filter)
    both.record(lambda side: side.duration.record(0.2, ("process", None), SPAN))
    both.collect()


@pytest.mark.parametrize(
    "view",
    [
        View(instrument_name="orchestrator.*", attribute_keys={"orchestrator.operation.name"}),
        View(instrument_name="orchestrator.operation.duration", name="renamed"),
        View(instrument_name="orchestrator.operation.duration", aggregation=DropAggregation()),
        View(
            instrument_name="orchestrator.operation.duration",
            aggregation=ExplicitBucketHistogramAggregation((1.0, 2.0)),
        ),
        View(instrument_name="orchestrator.operation.duration", aggregation=ExponentialBucketHistogramAggregation()),
        View(instrument_name="orchestrator.errors", aggregation_cardinality_limit=1),
        View(instrument_name="orchestrator.errors", aggregation=ExplicitBucketHistogramAggregation(DURATION_BUCKETS_S)),
        View(instrument_name="orchestrator.operation.duration", aggregation=SumAggregation()),
        View(instrument_name="orchestrator.heartbeat.*", aggregation=ExponentialBucketHistogramAggregation()),
    ],
    ids=[
        "attribute keys",
        "name",
        "drop",
        "other buckets",
        "exponential",
        "cardinality limit",
        "histogram of a counter",
        "sum of a histogram",
        "exponential part",
    ],
)
def test_the_users_views_apply(view: View) -> None:
    both = Both([CUMULATIVE, DELTA], views=[view])
    for _ in range(2):
        both.record(_a_busy_hour)
        both.record(lambda side: side.errors.add(2, ("timeout",)))
        both.collect(0)
        both.collect(1)


def test_a_reader_that_wants_exponential_histograms_gets_them() -> None:
    sides = [
        Side(
            folded=folded,
            readers=[InMemoryMetricReader(preferred_aggregation={Histogram: ExponentialBucketHistogramAggregation()})],
        )
        for folded in (True, False)
    ]
    for side in sides:
        _a_busy_hour(side)
    ours, stock = (side.collect() for side in sides)
    assert ours == stock
    assert "exponentialHistogram" in _metrics(ours)["orchestrator.operation.duration"]


def test_a_reader_added_later_sees_what_is_recorded_from_then_on() -> None:
    side = Both([CUMULATIVE]).folded
    _a_busy_hour(side)
    side.collect()
    late = InMemoryMetricReader()
    side.provider.add_metric_reader(late)
    side.readers.append(late)
    side.duration.record(1.0, ("process", None))
    (point,) = _points(side.collect(1), "orchestrator.operation.duration")
    assert point["count"] == "1"
    assert _points(side.collect(0), "orchestrator.operation.duration")[0]["count"] == "501"
    side.provider.remove_metric_reader(late)
    side.duration.record(1.0, ("process", None))
    assert _points(side.collect(0), "orchestrator.operation.duration")[0]["count"] == "502"


def test_an_exponential_reader_added_later_switches_to_single_values() -> None:
    side = Both([CUMULATIVE]).folded
    late = InMemoryMetricReader(preferred_aggregation={Histogram: ExponentialBucketHistogramAggregation()})
    side.provider.add_metric_reader(late)
    side.readers.append(late)
    side.collect(0)
    side.duration.record(1.0, ("process", None))
    assert "exponentialHistogram" in _metrics(side.collect(1))["orchestrator.operation.duration"]
    assert _points(side.collect(0), "orchestrator.operation.duration")[0]["count"] == "1"


def test_no_value_is_lost_or_counted_twice_while_threads_record_and_readers_collect() -> None:
    side = Both([CUMULATIVE, DELTA]).folded
    done = threading.Event()
    seen = [0]

    def record() -> None:
        for _ in range(20_000):
            side.duration.record(0.1, ("process", None))

    def collect() -> None:
        while not done.is_set():
            exported = side.collect(1)
            if exported:
                seen[0] += int(_points(exported, "orchestrator.operation.duration")[0]["count"])

    recorders = [threading.Thread(target=record) for _ in range(4)]
    collector = threading.Thread(target=collect)
    for thread in [*recorders, collector]:
        thread.start()
    for thread in recorders:
        thread.join()
    done.set()
    collector.join()
    rest = side.collect(1)
    if rest:
        seen[0] += int(_points(rest, "orchestrator.operation.duration")[0]["count"])
    assert seen[0] == 80_000
    assert _points(side.collect(0), "orchestrator.operation.duration")[0]["count"] == "80000"


def test_a_forked_child_counts_from_zero_even_if_the_lock_was_held() -> None:
    side = Both([CUMULATIVE]).folded
    folded = side.instruments
    assert isinstance(folded, FoldedInstruments)
    side.duration.record(1.0, ("process", None))
    held: Any = side.duration
    with held._lock:
        read, write = os.pipe()
        child = os.fork()
        if not child:
            folded.reset_after_fork()
            worker = threading.Thread(target=side.duration.record, args=(1.0, ("process", None)))
            worker.start()
            worker.join(5)
            (cell,) = held.drain().values()
            os.write(write, bytes([sum(cell.counts)]))
            os._exit(0)
    os.close(write)
    assert os.read(read, 1) == b"\1"
    os.waitpid(child, 0)
    os.close(read)


@pytest.fixture
def _tried_anew() -> Iterator[None]:
    folding.supported.cache_clear()
    yield
    folding.supported.cache_clear()


@pytest.mark.parametrize(
    "name",
    [
        "_measurement_consumer._reader_storages",
        "storage._get_or_init_view_instrument_match",
        "match._get_or_create_aggregation",
        "match._previous_collection_start_nanos",
        "aggregation._value",
    ],
)
@pytest.mark.usefixtures("_tried_anew")
def test_an_sdk_without_one_of_the_private_names_gets_its_own_instruments(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, attribute = name.split(".")
    kind = {
        "_measurement_consumer": measurement_consumer.SynchronousMeasurementConsumer,
        "storage": metric_reader_storage.MetricReaderStorage,
        "match": _view_instrument_match._ViewInstrumentMatch,
        "aggregation": aggregation._ExplicitBucketHistogramAggregation,
    }[owner]
    _rename(kind, attribute, monkeypatch)
    assert isinstance(instruments_for(MeterProvider(shutdown_on_exit=False)), StockInstruments)


def _rename(kind: type, attribute: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the SDK's next version had another name for it: ours is not found, its own is."""
    real: Any = kind.__getattribute__

    def get(self: object, name: str) -> Any:
        if name == attribute and "otel_monitor" in sys._getframe(1).f_code.co_filename:
            raise AttributeError(name)
        return real(self, name)

    monkeypatch.setattr(kind, "__getattribute__", get, raising=False)


def test_this_sdk_takes_our_aggregates() -> None:
    assert isinstance(instruments_for(MeterProvider(shutdown_on_exit=False)), FoldedInstruments)


def test_a_foreign_meter_provider_gets_stock_instruments() -> None:
    instruments = instruments_for(NoOpMeterProvider())
    assert isinstance(instruments, StockInstruments)
    instruments.histogram(DURATION_ROW).record(1.0, ("process", None), SPAN)
    instruments.counter(ERRORS_ROW).add(1)


def test_every_metric_has_a_unit_a_meaning_and_a_name_of_its_own() -> None:
    assert len({row.name for row in INSTRUMENTS}) == len(INSTRUMENTS)
    for row in INSTRUMENTS:
        assert row.unit, row
        assert row.meaning.endswith("."), row
        assert row.name.endswith(".duration") <= (row.unit == "s")
    assert {row.kind for row in INSTRUMENTS} == set(Kind)
