"""Metrics are read by kind, temporality, monotonicity and unit: the same, live and recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricsData
from opentelemetry.sdk.resources import Resource

from otel_monitor_processors.observation import Heartbeat, Level, MetricPoint
from otel_monitor_processors.otel.increases import Increase, Increases, Total
from otel_monitor_processors.otel.metric import metrics_of
from otel_monitor_processors.otel.metric_mapping import DataPoint, Metric, MetricKind, MetricMapping
from tests.replay.recordings import (
    START_S,
    Json,
    Recorder,
    beat,
    gauge,
    histogram,
    logs_line,
    metrics_line,
    nanos,
    observed,
    play,
    point,
    total,
)

MEMORY = ("memory", "process.memory", "system.memory")


def points(folder: Path, *exports: list[Json]) -> list[tuple[float, str, float]]:
    """Time since the start, name and value of every point that exports of one source become."""
    lines = [metrics_line("w1", *export) for export in exports]
    seen = observed(folder, *lines)
    return [(item.at - START_S, item.name, item.value) for item in seen if isinstance(item, MetricPoint)]


def levels(folder: Path, *exports: list[Json]) -> dict[str, tuple[float, float]]:
    """The last level of every resource."""
    seen = observed(folder, *[metrics_line("w1", *export) for export in exports])
    return {item.resource: (round(item.value, 6), item.limit) for item in seen if isinstance(item, Level)}


def test_a_cumulative_sum_is_read_as_its_increases(tmp_path: Path) -> None:
    values = (100.0, 130.0, 130.0, 170.0)
    exports = [[total(START_S + i, "jobs.done", value, START_S - 9.0)] for i, value in enumerate(values)]
    assert points(tmp_path, *exports) == [(1.0, "jobs.done", 30.0), (2.0, "jobs.done", 0.0), (3.0, "jobs.done", 40.0)]


def test_a_sum_that_falls_has_started_anew(tmp_path: Path) -> None:
    exports = [[total(START_S + i, "jobs.done", value)] for i, value in enumerate((100.0, 7.0))]
    assert points(tmp_path, *exports) == [(1.0, "jobs.done", 7.0)]


def test_a_sum_whose_start_is_past_its_last_point_has_started_anew(tmp_path: Path) -> None:
    exports = [[total(START_S, "jobs.done", 5.0, START_S - 9.0)], [total(START_S + 10, "jobs.done", 8.0, START_S + 5)]]
    assert points(tmp_path, *exports) == [(10.0, "jobs.done", 8.0)]


def test_a_series_that_began_within_the_recording_is_known_from_its_beginning(tmp_path: Path) -> None:
    exports = [
        [gauge(START_S, "other", 1.0), total(START_S, "old", 1.0)],
        [total(START_S + 9, "new", 4.0, START_S + 5)],
    ]
    assert (9.0, "new", 4.0) in points(tmp_path, *exports)


def worker_failures(at_s: float, start_s: float, **counts: float) -> Json:
    """As the SDK exports them: a series appears with its first failure."""
    metric = total(at_s, "orchestrator.worker.failures", 0.0)
    metric["sum"]["dataPoints"] = [
        point(at_s, value, orchestrator__failure__reason=reason) | {"startTimeUnixNano": nanos(start_s)}
        for reason, value in counts.items()
    ]
    return metric


def test_a_counter_that_first_appears_at_1_has_counted_1_if_nothing_else_is_cumulative(tmp_path: Path) -> None:
    exports = [[gauge(START_S, "other", 1.0)], [worker_failures(START_S + 60, START_S + 55, exit=1.0)]]
    assert points(tmp_path, *exports)[-1] == (60.0, "orchestrator.worker.failures", 1.0)


def test_a_series_that_appears_beside_others_of_its_metric_counts_from_0_however_old_the_program(
    tmp_path: Path,
) -> None:
    old_s = START_S - 9_000.0
    exports = [
        [worker_failures(START_S, old_s, oom=7.0)],
        [worker_failures(START_S + 60, old_s, oom=7.0, exit=1.0)],
        [worker_failures(START_S + 120, old_s, oom=7.0, exit=1.0, error=2.0)],
    ]
    assert [value for at, _, value in points(tmp_path, *exports) if at > 0.0] == [0.0, 1.0, 0.0, 0.0, 2.0]


def test_a_metric_whose_series_come_in_parts_is_not_taken_for_new(tmp_path: Path) -> None:
    old_s = START_S - 9_000.0
    parts = [
        [worker_failures(START_S + cycle + part, old_s, **{f"reason{part}": 1_000.0 + cycle})]
        for cycle in (0.0, 60.0)
        for part in range(4)
    ]
    assert {value for _, _, value in points(tmp_path, *parts)} == {60.0}


def test_a_start_time_that_is_the_point_s_own_says_that_the_start_is_not_known(tmp_path: Path) -> None:
    exports = [
        [gauge(START_S, "other", 1.0)],
        [total(START_S + 10, "jobs.done", 500.0, START_S + 10)],
        [total(START_S + 20, "jobs.done", 507.0, START_S + 10)],
        [total(START_S + 30, "jobs.done", 900.0, START_S + 30)],
        [total(START_S + 40, "jobs.done", 901.0, START_S + 30)],
    ]
    assert points(tmp_path, *exports)[1:] == [(20.0, "jobs.done", 7.0), (40.0, "jobs.done", 1.0)]


def test_series_that_were_let_go_for_want_of_room_are_not_taken_for_new() -> None:
    increases = Increases(max_series=2)
    increases.look_from(0.0)
    for at_s, name in ((10.0, "a"), (11.0, "b"), (12.0, "c")):
        assert increases.take(name, Total(5.0, at_s, 100.0)) == Increase(100.0)
    assert increases.take("a", Total(5.0, 20.0, 101.0)) is None  # it is the same counter
    assert increases.take("d", Total(15.0, 20.0, 3.0)) == Increase(3.0)
    assert increases.dropped == 3


def test_the_order_of_arrival_does_not_change_an_increase(tmp_path: Path) -> None:
    exports = [[total(START_S + i, "jobs.done", float(i * i))] for i in range(5)]
    shuffled = [exports[i] for i in (2, 0, 1, 4, 3)]
    assert points(tmp_path, *shuffled) == points(tmp_path, *exports)


def test_delta_sums_and_sums_that_can_fall_are_read_as_they_are(tmp_path: Path) -> None:
    delta = [[total(START_S + i, "jobs.done", 5.0, START_S + i - 1, cumulative=False)] for i in range(2)]
    assert points(tmp_path, *delta) == [(0.0, "jobs.done", 5.0), (1.0, "jobs.done", 5.0)]
    falling = total(START_S, "jobs.running", 5.0)
    falling["sum"]["isMonotonic"] = False
    assert points(tmp_path, [falling]) == [(0.0, "jobs.running", 5.0)]


def test_a_histogram_is_read_as_the_mean_and_the_number_of_what_was_added(tmp_path: Path) -> None:
    exports = [[histogram(START_S, "d", 10, 20.0)], [histogram(START_S + 1, "d", 14, 22.0)]]
    assert points(tmp_path, *exports) == [(1.0, "d.count", 4.0), (1.0, "d", 0.5)]


def test_a_histogram_without_a_sum_still_counts(tmp_path: Path) -> None:
    exports = [[histogram(START_S + i, "d", 10 + i, 0.0)] for i in range(2)]
    for (export,) in exports:
        del export["histogram"]["dataPoints"][0]["sum"]
    assert points(tmp_path, *exports) == [(1.0, "d.count", 1.0)]


def test_a_summary_is_read_like_a_histogram_beside_its_quantiles(tmp_path: Path) -> None:
    def summary(at_s: float, count: int) -> Json:
        made = point(at_s, 0.0) | {"count": str(count), "sum": 2.0 * count}
        made["quantileValues"] = [{"quantile": 0.99, "value": 3.0}]
        return {"name": "s", "unit": "s", "summary": {"dataPoints": [made]}}

    seen = points(tmp_path, [summary(START_S, 1)], [summary(START_S + 1, 3)])
    assert seen == [(0.0, "s.quantile", 3.0), (1.0, "s.count", 2.0), (1.0, "s", 2.0), (1.0, "s.quantile", 3.0)]


@pytest.mark.parametrize(
    ("metric", "level"),
    [
        (gauge(START_S, "pool.utilization", 0.5), ("pool", (0.5, 1.0))),
        (gauge(START_S, "k8s.pod.memory_limit_utilization", 0.7), ("memory", (0.7, 1.0))),
        (gauge(START_S, "process.cpu.utilization", 0.2), ("cpu", (0.2, 1.0))),
        (gauge(START_S, "tank.used_percent", 40.0, "%"), ("tank", (40.0, 100.0))),
        (gauge(START_S, "disk.usage", 40.0, "%"), None),
        (gauge(START_S, "tank.usage", 40.0, "%"), ("tank", (40.0, 100.0))),
        (gauge(START_S, "container.cpu.utilization", 73.0), ("cpu", (73.0, 100.0))),
        (gauge(START_S, "k8s.container.cpu_request_utilization", 3.0), None),
        (gauge(START_S, "system.filesystem.utilization", 0.9, mountpoint="/", state="used"), ("disk", (0.9, 1.0))),
        (gauge(START_S, "system.disk.utilization", 0.99), None),
        (gauge(START_S, "jvm.cpu.recent_utilization", 0.4), ("cpu", (0.4, 1.0))),
        (gauge(START_S, "heap.utilization", 0.9, pool="old"), ("heap,pool=old", (0.9, 1.0))),
    ],
)
def test_shares_are_levels(metric: Json, level: tuple[str, tuple[float, float]] | None, tmp_path: Path) -> None:
    assert levels(tmp_path, [metric]) == (dict([level]) if level else {})


def test_only_busy_cpu_time_counts_and_cores_are_averaged(tmp_path: Path) -> None:
    def cpu(core: str, **modes: float) -> list[Json]:
        return [point(START_S, value, cpu=core, state=mode) for mode, value in modes.items()]

    cores = [*cpu("cpu0", user=0.6, system=0.3, idle=0.1), *cpu("cpu1", user=0.1, idle=0.7, wait=0.2)]
    metric = {"name": "system.cpu.utilization", "unit": "1", "gauge": {"dataPoints": cores}}
    assert levels(tmp_path, [metric]) == {"cpu": (0.5, 1.0)}


def test_where_only_idle_time_is_told_the_rest_is_busy(tmp_path: Path) -> None:
    assert levels(tmp_path, [gauge(START_S, "system.cpu.utilization", 0.25, cpu__mode="idle")]) == {"cpu": (0.75, 1.0)}


def test_cached_memory_is_not_used_memory(tmp_path: Path) -> None:
    states = [point(START_S, value, state=state) for state, value in (("used", 0.4), ("cached", 0.5), ("free", 0.1))]
    metric = {"name": "system.memory.utilization", "unit": "1", "gauge": {"dataPoints": states}}
    assert levels(tmp_path, [metric]) == {"memory": (0.4, 1.0)}


def test_the_fullest_disk_counts_and_each_is_told_of_by_its_own_name(tmp_path: Path) -> None:
    disks = [point(START_S, value, mountpoint=mount) for mount, value in (("/", 0.4), ("/data", 0.95))]
    metric = {"name": "system.filesystem.utilization", "unit": "1", "gauge": {"dataPoints": disks}}
    assert levels(tmp_path, [metric]) == {
        "disk": (0.95, 1.0),
        "system.filesystem,mountpoint=/": (0.4, 1.0),
        "system.filesystem,mountpoint=/data": (0.95, 1.0),
    }


@pytest.mark.parametrize(
    "export",
    [
        [gauge(START_S, "system.memory.utilization", -0.1)],
        [gauge(START_S, "k8s.volume.available", 12.0, "By"), gauge(START_S, "k8s.volume.capacity", 10.0, "By")],
    ],
)
def test_less_than_nothing_is_no_level(export: list[Json], tmp_path: Path) -> None:
    assert levels(tmp_path, export) == {}


def test_disks_without_number_are_told_of_by_name_only_so_many(tmp_path: Path) -> None:
    disks = [point(START_S, number / 100.0, mountpoint=f"/mnt/{number}") for number in range(100)]
    metric = {"name": "system.filesystem.utilization", "unit": "1", "gauge": {"dataPoints": disks}}
    found = levels(tmp_path, [metric], [metric])
    assert len(found) == 1 + 16
    assert found["disk"] == (0.99, 1.0)


def test_a_process_that_fills_its_memory_is_not_hidden_by_the_steady_memory_of_its_machine(tmp_path: Path) -> None:
    exports = []
    for step in range(5):
        at_s = START_S + 10.0 * step
        exports.append(
            [gauge(at_s, "process.memory.utilization", 0.1 * step), gauge(at_s, "system.memory.utilization", 0.6)]
        )
    seen = observed(tmp_path, *[metrics_line("w1", *export) for export in exports])
    told = {name: [item.value for item in seen if isinstance(item, Level) and item.resource == name] for name in MEMORY}
    assert told == {
        "memory": [0.6] * 5,
        "process.memory": [pytest.approx(0.1 * step) for step in range(5)],
        "system.memory": [0.6] * 5,
    }


def test_metrics_of_one_resource_that_are_exported_by_turns_do_not_make_it_jump(tmp_path: Path) -> None:
    exports = []
    for step in range(12):
        name, share = ("system", 0.7) if step % 3 == 0 else ("process", 0.1)
        exports.append([gauge(START_S + 10.0 * step, f"{name}.memory.utilization", share)])
    seen = observed(tmp_path, *[metrics_line("w1", *export) for export in exports])
    assert [item.value for item in seen if isinstance(item, Level) and item.resource == "memory"] == [0.7] * 4


def test_a_metric_that_is_not_exported_any_more_leaves_the_name_to_the_others(tmp_path: Path) -> None:
    exports = [[gauge(START_S, "system.memory.utilization", 0.7)]]
    exports += [[gauge(START_S + 60.0 * step, "process.memory.utilization", 0.1)] for step in range(1, 8)]
    assert levels(tmp_path, *exports)["memory"] == (0.1, 1.0)


def test_of_two_metrics_of_the_cpu_the_busier_counts_alone(tmp_path: Path) -> None:
    export = [gauge(START_S, "process.cpu.utilization", 0.2), gauge(START_S, "system.cpu.utilization", 0.9)]
    assert levels(tmp_path, export, export) == {"cpu": (0.9, 1.0)}


@pytest.mark.parametrize(
    ("used", "limit"),
    [("usage", "limit"), ("count", "max"), ("size", "capacity"), ("used", "limit"), ("total", "limit")],
)
def test_a_usage_beside_its_limit_is_a_level(used: str, limit: str, tmp_path: Path) -> None:
    pair = [gauge(START_S, f"queue.{used}", 9.0, "{item}"), gauge(START_S, f"queue.{limit}", 10.0, "{item}")]
    assert levels(tmp_path, pair) == {"queue": (9.0, 10.0)}


def test_a_limit_may_come_in_an_export_of_its_own(tmp_path: Path) -> None:
    exports = [[gauge(START_S, "heap.limit", 10.0)], [gauge(START_S + 60, "heap.usage", 4.0)]]
    assert levels(tmp_path, *exports) == {"heap": (4.0, 10.0)}


def test_what_is_available_of_a_capacity_is_not_used(tmp_path: Path) -> None:
    pair = [gauge(START_S, "k8s.volume.available", 2.0, "By"), gauge(START_S, "k8s.volume.capacity", 10.0, "By")]
    assert levels(tmp_path, pair) == {"k8s.volume": (8.0, 10.0)}


def test_idle_connections_of_a_pool_are_not_used_ones(tmp_path: Path) -> None:
    pool = {"db__client__connection__pool__name": "main"}
    counts = [
        point(START_S, value, **pool, db__client__connection__state=state)
        for state, value in (("used", 3.0), ("idle", 7.0))
    ]
    pair = [
        {"name": "db.client.connection.count", "unit": "{connection}", "gauge": {"dataPoints": counts}},
        gauge(START_S, "db.client.connection.max", 10.0, "{connection}", **pool),
    ]
    assert list(levels(tmp_path, pair).values()) == [(3.0, 10.0)]


@pytest.mark.parametrize(
    "pair",
    [
        [total(START_S, "queue.count", 9.0), gauge(START_S, "queue.max", 10.0)],
        [gauge(START_S, "queue.count", 9.0, "By"), gauge(START_S, "queue.max", 10.0, "{item}")],
        [gauge(START_S, "memory.usage", 9.0), gauge(START_S, "memory.limit", 9223372036854771712.0)],
        [gauge(START_S, "memory.usage", 9.0), gauge(START_S, "memory.limit", 0.0)],
    ],
    ids=["a counter is no level", "the units differ", "unlimited", "no limit"],
)
def test_what_only_looks_like_a_usage_and_its_limit_is_none(pair: list[Json], tmp_path: Path) -> None:
    assert levels(tmp_path, pair) == {}


def test_a_metric_that_changes_its_type_is_counted_named_and_read_again_from_there(tmp_path: Path) -> None:
    exports = [
        gauge(START_S, "m", 1.0),
        total(START_S + 1, "m", 500.0),
        total(START_S + 2, "m", 503.0),
        total(START_S + 3, "m", 504.0),
    ]
    played = play(tmp_path, [metrics_line("w1", metric) for metric in exports])
    assert played.summary["malformed"] == 1
    assert played.summary["metrics"] == 3
    assert played.said == ["0.jsonl:2: metric that changes its type; counted as malformed, the rest is read"]
    assert points(tmp_path, *[[metric] for metric in exports]) == [(0.0, "m", 1.0), (3.0, "m", 1.0)]


def test_a_point_that_says_that_it_has_no_value_is_passed_over(tmp_path: Path) -> None:
    metric = gauge(START_S, "m", 1.0)
    metric["gauge"]["dataPoints"][0] |= {"flags": 1, "asDouble": "NaN"}
    assert play(tmp_path, [metrics_line("w1", metric)]).summary["malformed"] == 0


# -- heartbeats -----------------------------------------------------------------------------------------


def beats(folder: Path, *lines: str) -> list[float]:
    return [item.at - START_S for item in observed(folder, *lines) if isinstance(item, Heartbeat)]


def age(second: float, age_s: float) -> str:
    return metrics_line(
        "boss", gauge(START_S + second, "orchestrator.heartbeat.age", age_s, "s", orchestrator__worker__id="w1")
    )


def test_heartbeats_that_only_metrics_tell_of_are_seen_at_every_export(tmp_path: Path) -> None:
    assert beats(tmp_path, *[age(10.0 * i, 0.4) for i in range(5)]) == [0.0, 10.0, 20.0, 30.0, 40.0]


def test_an_age_that_grows_tells_of_no_heartbeat(tmp_path: Path) -> None:
    assert beats(tmp_path, age(0.0, 0.4), age(10.0, 10.4), age(20.0, 20.4)) == [0.0]


def test_intervals_that_were_measured_are_heartbeats_too(tmp_path: Path) -> None:
    def export(i: int, count: int) -> str:
        metric = histogram(
            START_S + i, "orchestrator.heartbeat.interval", count, 1.0 * count, orchestrator__worker__id="w1"
        )
        return metrics_line("boss", metric)

    assert beats(tmp_path, *[export(10 * i, count) for i, count in enumerate((5, 15, 25, 25, 25))]) == [10.0, 20.0]


def test_metrics_add_nothing_to_heartbeats_that_are_recorded_one_by_one(tmp_path: Path) -> None:
    lines = []
    for second in range(40):
        lines.append(logs_line("boss", beat(START_S + second, "w1")))
        if second % 10 == 5:
            lines.append(age(second + 0.5, 0.5))
    assert beats(tmp_path, *lines) == [float(second) for second in range(40)]


def test_a_few_recorded_heartbeats_among_many_that_only_metrics_tell_of_are_no_rhythm(tmp_path: Path) -> None:
    lines = []
    for export in range(6):
        at = 10.0 * export
        metric = histogram(
            START_S + at, "orchestrator.heartbeat.interval", 10, 10.0, cumulative=False, orchestrator__worker__id="w1"
        )
        lines += [metrics_line("boss", metric), logs_line("boss", beat(START_S + at + 3.0, "w1"))]
    assert beats(tmp_path, *lines) == [0.0, 10.0, 20.0, 30.0, 40.0, 50.0]


def test_an_export_is_a_sign_of_life_by_its_sender_s_own_account(tmp_path: Path) -> None:
    engine = Recorder()
    play(tmp_path, [metrics_line("w1", gauge(START_S, "queue.depth", 1.0))], engine=engine)
    assert [item for item in engine.seen if isinstance(item, Heartbeat)] == [Heartbeat(START_S, "w1", "w1")]


# -- live and recorded ------------------------------------------------------------------------------------


def record_some(meter: Meter) -> None:
    meter.create_counter("jobs.done", unit="{job}").add(3, {"kind": "order"})
    meter.create_up_down_counter("pool.count").add(9)
    meter.create_up_down_counter("pool.max").add(10)
    meter.create_histogram("took", unit="s").record(0.5)
    meter.create_observable_gauge("system.memory.utilization", [_memory], unit="1")


def _memory(_options: CallbackOptions) -> Iterator[Observation]:
    yield Observation(0.7, {"state": "used"})
    yield Observation(0.3, {"state": "free"})


def test_a_live_point_and_the_same_point_recorded_say_the_same(tmp_path: Path) -> None:
    reader = InMemoryMetricReader()
    resource = Resource({"service.name": "shop", "service.instance.id": "w1"})
    provider = MeterProvider([reader], resource, shutdown_on_exit=False)
    record_some(provider.get_meter("app"))
    collections = [_collected(reader), _collected(reader)]
    provider.shutdown()

    mapping = MetricMapping(lambda _metric: pytest.fail("no metric has changed its type"))
    live: list[Any] = []
    for data in collections:
        for resource_metrics in data.resource_metrics:
            live += mapping.observations("w1", "shop", metrics_of(resource_metrics, START_S), START_S)
            for metric in resource_metrics.scope_metrics[0].metrics:
                for live_point in metric.data.data_points:
                    assert live_point.time_unix_nano
    recorded = observed(tmp_path, *[json.dumps(MessageToDict(encode_metrics(data))) + "\n" for data in collections])
    assert {_said(item) for item in recorded} >= {_said(item) for item in live}
    assert ("Level", "memory", 0.7) in {_said(item) for item in live}
    assert ("Level", "pool", 9.0) in {_said(item) for item in live}


def _collected(reader: InMemoryMetricReader) -> MetricsData:
    data = reader.get_metrics_data()
    assert data is not None
    return data


def _said(item: Any) -> tuple[str, str, float]:
    return type(item).__name__, getattr(item, "resource", None) or item.name, item.value


# -- bounds -----------------------------------------------------------------------------------------------


def test_series_without_end_are_bounded_and_counted() -> None:
    mapping = MetricMapping(lambda _metric: pytest.fail("no metric has changed its type"))
    for number in range(60_000):
        data = DataPoint((("user", str(number)),), START_S + number, START_S, 1.0)
        list(
            mapping.observations("w1", "shop", [Metric("m", "", MetricKind.SUM, True, True, [data])], START_S + number)
        )
    assert mapping.dropped == 10_000
