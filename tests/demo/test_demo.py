"""The demo from end to end: real processes under `opentelemetry-instrument`, a fault, and what the user gets."""

from __future__ import annotations

import sys
from collections import defaultdict

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_monitor.demo.receiver import Receiver, Signal
from otel_monitor.demo.telemetry import ALERT_EVENT
from tests.processes import Processes, Program


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
