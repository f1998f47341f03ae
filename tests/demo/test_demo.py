"""The demo from end to end: real processes under `opentelemetry-instrument`, a fault, and what the user gets."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_monitor.demo.receiver import Receiver, Signal
from otel_monitor.demo.telemetry import ALERT_EVENT
from tests.processes import Processes, Program

Json = dict[str, Any]


@pytest.mark.parametrize(
    ("fault", "seconds", "rules"),
    [
        ("dblock", 20, {"slow_operations", "failing_operations"}),
        ("skew", 18, {"uneven_load"}),
        ("cpu", 20, {"blocked_event_loop"}),
        ("oom", 24, {"memory_runs_out"}),
    ],
)
def test_a_fault_raises_the_alerts_that_tell_what_it_is(
    fault: str, seconds: int, rules: set[str], processes: Processes
) -> None:
    run = demo(processes, fault, "--seconds", str(seconds))
    assert run.returncode == 0, run
    document = json.loads(run.stdout)
    assert document["fault"] == fault
    fired = [alert for alert in document["alerts"] if alert["state"] == "firing" and alert["delay_s"] >= 0]
    assert rules <= {alert["rule"] for alert in fired}, run
    assert [alert for alert in document["alerts"] if alert["delay_s"] < 0 and alert["state"] == "firing"] == []
    for alert in document["alerts"]:
        assert set(alert) == {"rule", "pattern", "severity", "state", "at", "delay_s", "summary"}
        assert alert["at"] == pytest.approx(document["injected_at"] + alert["delay_s"], abs=0.01)
        assert alert["severity"] in {"info", "warning", "critical", "emergency"}
        assert alert["summary"]


def test_a_healthy_fleet_raises_no_alert_and_a_kept_one_says_where_its_files_are(
    processes: Processes, tmp_path: Path
) -> None:
    run = demo(processes, "none", "--seconds", "14", "--keep")
    assert run.returncode == 0, run
    assert json.loads(run.stdout) == {"fault": "none", "injected_at": None, "alerts": []}
    (directory,) = tmp_path.glob("otel-monitor-demo-*")
    assert f"kept: {directory}" in run.stderr
    assert (directory / "fleet.db").exists()
    assert "registered as w1" in (directory / "w1.log").read_text()
    assert "alert_rules" in json.loads((directory / "otel-monitor.json").read_text())


def test_the_users_own_endpoint_gets_traces_from_assignment_to_processing_and_the_alert_with_its_trace(
    processes: Processes,
) -> None:
    spans: dict[str, set[bytes]] = defaultdict(set)
    alerts: list[bytes] = []

    def take(_signal: Signal, message: Message, _body: bytes) -> None:
        if isinstance(message, ExportTraceServiceRequest):
            for span in (s for r in message.resource_spans for p in r.scope_spans for s in p.spans):
                spans[span.name].add(span.trace_id)
        elif isinstance(message, ExportLogsServiceRequest):
            records = (record for r in message.resource_logs for p in r.scope_logs for record in p.log_records)
            alerts.extend(record.trace_id for record in records if record.event_name == ALERT_EVENT)

    receiver = Receiver(take)
    receiver.start()
    try:
        run = demo(processes, "kill9", "--seconds", "14", endpoint=receiver.endpoint, output="human")
    finally:
        receiver.stop()
    assert run.returncode == 0, run
    assert "critical  worker_lost" in run.stdout
    assert f"requests passed on to {receiver.endpoint}" in run.stdout
    assert spans["process stream"]
    assert spans["process stream"] <= spans["assign stream"], "an item belongs to the trace of its stream's assignment"
    assert [trace for trace in alerts if trace in set().union(*spans.values())], "no alert came with a known trace"


def demo(processes: Processes, *arguments: str, endpoint: str = "", output: str = "json") -> Program:
    return processes.run(
        *(sys.executable, "-m", "otel_monitor", "demo", *arguments, "--output", output),
        env={"TMPDIR": str(processes.folder), "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint},
    )
