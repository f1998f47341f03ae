"""Alerts come before export: with the backend dead, with nothing sampled, and in the trace that raised them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.startup.conftest import NOBODY, Launcher
from tests.startup.receiver import Receiver, attributes

SLOW = """
    import time

    class Worker:
        def process_order(self, order_id):
            time.sleep(0.06)

    worker = Worker()
    began = time.monotonic()
    while time.monotonic() - began < 2.5:
        worker.process_order("o-1")
"""
RULE = {
    "alert_rules": {
        "slow_orders": {
            "metric_name": "response_time",
            "attributes": {"operation": "process"},
            "threshold": 50,
            "duration": 1,
            "window": 5,
            "severity": "critical",
        }
    }
}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    config = tmp_path / "monitor.json"
    config.write_text(json.dumps(RULE))
    return {"OTEL_MONITOR_CONFIG": str(config), "OTEL_MONITOR_WORKERS": "__main__:Worker"}


def alert_lines(stderr: str) -> list[str]:
    return [line for line in stderr.splitlines() if " ALERT firing [critical] slow_orders " in line]


@pytest.mark.parametrize("sampler", ["always_on", "always_off"])
def test_with_the_endpoint_dead_the_alert_is_on_the_console_all_the_same(
    launch: Launcher, environment: dict[str, str], sampler: str
) -> None:
    run = launch(SLOW, env={**environment, "OTEL_TRACES_SAMPLER": sampler, "OTEL_EXPORTER_OTLP_ENDPOINT": NOBODY})
    assert run.code == 0
    (line,) = alert_lines(run.stderr)
    assert "operation=process" in line
    assert "p95 duration" in line
    assert bool(re.search(r"\(trace [0-9a-f]{32}\)$", line)) is (sampler == "always_on")


def test_with_the_endpoint_alive_the_event_has_the_trace_of_an_offending_span(
    launch: Launcher, receiver: Receiver, environment: dict[str, str]
) -> None:
    run = launch(SLOW, env={**environment, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint})
    assert alert_lines(run.stderr)
    spans = {span.span_id: span for span in receiver.received.spans()}
    states = {}
    for record in receiver.received.logs():
        if record.event_name == "otel_monitor.alert.state_change":
            states[attributes(record)["otel_monitor.alert.state"]] = record
    assert {"pending", "firing"} <= set(states)
    offending = spans[states["firing"].span_id]
    assert offending.trace_id == states["firing"].trace_id
    assert offending.name == "process order"
    assert offending.end_time_unix_nano - offending.start_time_unix_nano > 50_000_000


def test_the_spans_that_are_evidence_arrive_marked_with_the_alert(
    launch: Launcher, receiver: Receiver, environment: dict[str, str]
) -> None:
    launch(SLOW, env={**environment, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint})
    (alert_id,) = {
        attributes(record)["otel_monitor.alert.id"]
        for record in receiver.received.logs()
        if record.event_name == "otel_monitor.alert.state_change"
    }
    marked = [span for span in receiver.received.spans() if attributes(span).get("otel_monitor.alert.id") == alert_id]
    assert len(marked) > 10
    assert {attributes(span)["otel_monitor.alert.rule"] for span in marked} == {"slow_orders"}
