"""Rules on histograms and counters that the SDK has exported over OTLP, cumulative as it does by default."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricsData
from opentelemetry.sdk.metrics.view import (
    Aggregation,
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
)
from opentelemetry.sdk.resources import Resource

from otel_monitor.cli import main

START_S = 1_800_000_000.0
RULES = {
    "slow": {"metric_name": "job.duration", "aggregation": "p95", "threshold": 1.0, "window": 120},
    "busy": {"metric_name": "jobs", "aggregation": "rate", "threshold": 0.5, "window": 120},
}


class Shop:
    """A program's metrics, exported every 30 s of a time of its own."""

    def __init__(self, folder: Path, aggregation: Aggregation) -> None:
        self._path = folder / "metrics.jsonl"
        self._reader = InMemoryMetricReader(preferred_aggregation={Histogram: aggregation})
        resource = Resource({"service.name": "shop", "service.instance.id": "w1"})
        self._provider = MeterProvider([self._reader], resource, shutdown_on_exit=False)
        meter = self._provider.get_meter("shop")
        self.duration = meter.create_histogram("job.duration", unit="s")
        self.jobs = meter.create_counter("jobs")
        self._lines: list[str] = []

    def export(self) -> None:
        data = self._reader.get_metrics_data()
        assert data is not None
        at_ns = round((START_S + 30.0 * len(self._lines)) * 1e9)
        self._lines.append(json.dumps(MessageToDict(encode_metrics(_at(data, at_ns)))))

    def alerts(self, capsys: pytest.CaptureFixture[str]) -> list[tuple[str, str, float]]:
        """What a replay of it raises, with the seconds since the first export."""
        self._path.write_text("\n".join(self._lines) + "\n")
        config = self._path.with_name("monitor.json")
        config.write_text(json.dumps({"alert_rules": RULES}))
        assert main(["replay", str(self._path), "--config-file", str(config)]) == 0
        found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        return [(item["rule"], item["state"], item["at"] - START_S) for item in found if item.get("rule") in RULES]


def _at(data: MetricsData, at_ns: int) -> MetricsData:
    def moved(metric: Any) -> Any:
        points = [
            replace(point, time_unix_nano=at_ns, start_time_unix_nano=round((START_S - 9.0) * 1e9))
            for point in metric.data.data_points
        ]
        return replace(metric, data=replace(metric.data, data_points=points))

    def scope(item: Any) -> Any:
        return replace(item, metrics=[moved(metric) for metric in item.metrics])

    resources = [replace(item, scope_metrics=list(map(scope, item.scope_metrics))) for item in data.resource_metrics]
    return replace(data, resource_metrics=resources)


@pytest.mark.parametrize(
    "aggregation",
    [ExplicitBucketHistogramAggregation([0.1, 0.5, 1.0, 2.0, 5.0]), ExponentialBucketHistogramAggregation()],
    ids=["explicit", "exponential"],
)
def test_a_quantile_is_of_what_was_added_within_the_window(
    aggregation: Aggregation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = Shop(tmp_path, aggregation)
    for export in range(12):
        for number in range(100):
            shop.duration.record(4.0 if export == 4 and number < 30 else 0.2)
        shop.export()
    assert shop.alerts(capsys) == [("slow", "firing", 121.0), ("slow", "resolved", 240.0)]


def test_a_rate_is_of_a_counters_increases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop = Shop(tmp_path, ExplicitBucketHistogramAggregation())
    for export in range(8):
        shop.jobs.add(61 if export == 3 else 0)
        shop.export()
    assert shop.alerts(capsys) == [("busy", "firing", 91.0), ("busy", "resolved", 210.0)]
