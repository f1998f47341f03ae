"""What leaves over OTLP arrives at a real Collector, whole, by either protocol."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from otel_monitor.demo.environment import instrumented
from otel_monitor.demo.fleet import Fleet
from tests.collector.conftest import Collector, Json, attributes
from tests.polling import eventually
from tests.processes import Processes

PROTOCOLS = ["http/protobuf", "grpc"]
ALERT = "otel_monitor.alert.state_change"

PROGRAM = """
import logging

from opentelemetry import metrics, trace

with trace.get_tracer("shop").start_as_current_span("place order"):
    metrics.get_meter("shop").create_counter("shop.orders").add(3, {"kind": "books"})
    logging.getLogger("shop").warning("order %d is late", 7)
"""


def export_to(collector: Collector, protocol: str) -> dict[str, str]:
    """The settings that send everything to the Collector."""
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint(protocol),
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        "OTEL_BSP_SCHEDULE_DELAY": "500",
        "OTEL_BLRP_SCHEDULE_DELAY": "500",
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
    }


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_spans_metrics_and_logs_of_an_instrumented_program_arrive(
    protocol: str, collector: Collector, processes: Processes, tmp_path: Path
) -> None:
    program = tmp_path / "shop.py"
    program.write_text(PROGRAM)
    run = processes.run(
        "opentelemetry-instrument",
        "python",
        program,
        env=export_to(collector, protocol)
        | {"OTEL_SERVICE_NAME": "shop", "OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED": "true"},
    )
    assert run.returncode == 0, run

    span = eventually(lambda: next((s for s in collector.spans() if s["name"] == "place order"), None), what="span")
    counter = eventually(lambda: next((m for m in collector.metrics() if m["name"] == "shop.orders"), None), what="sum")
    record = eventually(
        lambda: next((r for r in collector.logs() if r["body"].get("stringValue") == "order 7 is late"), None),
        what="log",
    )
    assert counter["sum"]["dataPoints"][0]["asInt"] == "3"
    assert attributes(counter["sum"]["dataPoints"][0]) == {"kind": "books"}
    assert (record["traceId"], record["spanId"]) == (span["traceId"], span["spanId"])
    assert collector.services() == {"shop"}


async def lose_two_workers(collector: Collector, protocol: str) -> None:
    """Run the demo's programs against the Collector, and kill two workers once their heartbeats have a history."""
    fleet = Fleet()
    try:
        endpoint = collector.endpoint(protocol)
        await fleet.start(instrumented(endpoint, fleet.directory, protocol))
        await asyncio.to_thread(eventually, lambda: heartbeats(collector) > 60, 60, "heartbeats")
        for worker_id in ("w3", "w4"):
            fleet.kill(worker_id)
        await asyncio.to_thread(
            eventually, lambda: {"w3", "w4"} <= set(re.findall(r"\bw\d\b", told_as_lost(collector))), 60, "alerts"
        )
        await fleet.stop()
    finally:
        await fleet.close()


def heartbeats(collector: Collector) -> int:
    """How many heartbeat intervals the orchestrator has measured."""
    points = [
        point
        for metric in collector.metrics()
        if metric["name"] == "orchestrator.heartbeat.interval"
        for point in metric["histogram"]["dataPoints"]
    ]
    latest = {attributes(point).get("orchestrator.worker.id"): int(point["count"]) for point in points}
    return sum(latest.values())


def is_loss(record: Json) -> bool:
    """Whether a log record is the event of an alert that fires because workers are lost."""
    alert = attributes(record)
    return record.get("eventName") == ALERT and (
        (alert["otel_monitor.alert.rule"], alert["otel_monitor.alert.state"]) == ("worker_lost", "firing")
    )


def told_as_lost(collector: Collector) -> str:
    """What the alerts say of workers that are lost."""
    return "\n".join(attributes(record)["otel_monitor.alert.summary"] for record in collector.logs() if is_loss(record))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_spans_metrics_and_alerts_of_the_demo_fleet_arrive(protocol: str, collector: Collector) -> None:
    asyncio.run(lose_two_workers(collector, protocol))

    assert collector.services() == {"demo-orchestrator", "demo-worker"}
    assigned = {span["traceId"] for span in collector.spans() if span["name"] == "assign stream"}
    processed = {span["traceId"] for span in collector.spans() if span["name"] == "process stream"}
    assert assigned & processed, "the assignment of a stream and its processing are one trace"
    names = {metric["name"] for metric in collector.metrics()}
    assert names >= {"orchestrator.operation.duration", "orchestrator.worker.failures", "process.memory.usage"}
    alert = next(record for record in collector.logs() if is_loss(record))
    assert alert["severityNumber"] == 17
    assert alert["traceId"] in {span["traceId"] for span in collector.spans()}, "an alert leads to its evidence"


def test_every_configuration_here_is_valid(collector_binary: Path, repository: Path, processes: Processes) -> None:
    configurations = sorted(
        path for path in (repository / "collector-config").glob("*.yaml") if path.name != "builder.yaml"
    )
    assert configurations
    for path in configurations:
        checked = processes.run(collector_binary, "validate", "--config", path)
        assert checked.returncode == 0, checked
        assert "deprecated" not in checked.stderr, checked
