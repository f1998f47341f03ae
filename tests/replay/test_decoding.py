"""OTLP's JSON is read as it is written: by the Collector, and within what the format allows."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from otel_monitor_processors import MonitorSpanProcessor
from otel_monitor_processors.observation import (
    Assignment,
    DatabaseOperation,
    ErrorLog,
    Heartbeat,
    Link,
    Membership,
    Operation,
    Outcome,
)
from otel_monitor_processors.otel.driver import driver_of
from tests.replay.recordings import START_S, Recorder, beat, log, logs_line, observed, play, span, spans_line

COLLECTED = (
    b'{"resourceSpans":[{"resource":{"attributes":[{"key":"telemetry.sdk.language","value":{"stringValue":"python"}},'
    b'{"key":"service.name","value":{"stringValue":"shop"}},{"key":"host.name","value":{"stringValue":"h1"}}]},'
    b'"scopeSpans":[{"scope":{"name":"app"},"spans":[{"traceId":"5b8efff798038103d269b633813fc60c",'
    b'"spanId":"eee19b7ec3c1b174","parentSpanId":"eee19b7ec3c1b173","flags":257,"name":"GET /","kind":2,'
    b'"startTimeUnixNano":"1544712660000000000","endTimeUnixNano":"1544712661500000000",'
    b'"attributes":[{"key":"http.response.status_code","value":{"intValue":"503"}}],"status":{"code":2}}]}],'
    b'"schemaUrl":"https://opentelemetry.io/schemas/1.27.0"}]}\n'
)


def test_a_line_of_the_collector_is_an_operation_of_its_source(tmp_path: Path) -> None:
    path = tmp_path / "line"
    path.write_bytes(COLLECTED)
    (operation,) = observed(tmp_path, COLLECTED.decode())
    assert isinstance(operation, Operation)
    assert (operation.source, operation.service, operation.name) == ("h1", "shop", "GET /")
    assert (operation.at, operation.duration_s) == (1544712661.5, 1.5)
    assert (operation.outcome, operation.category) == (Outcome.FAILED, "resource")
    assert operation.trace is not None
    assert operation.trace.hex_trace_id() == "5b8efff798038103d269b633813fc60c"


@pytest.mark.parametrize("kind", [5, "SPAN_KIND_CONSUMER", "CONSUMER"])
@pytest.mark.parametrize("code", [2, "STATUS_CODE_ERROR"])
@pytest.mark.parametrize("write", [int, str])
def test_enumerations_and_times_may_be_numbers_or_texts(kind: Any, code: Any, write: Any, tmp_path: Path) -> None:
    sent = span(START_S, kind=kind, status={"code": code}, endTimeUnixNano=write(int(START_S) * 10**9))
    (operation,) = observed(tmp_path, spans_line("w1", sent))
    assert isinstance(operation, Operation)
    assert (operation.at, operation.outcome) == (START_S, Outcome.FAILED)


def test_an_exception_event_says_what_the_error_was(tmp_path: Path) -> None:
    given = [{"key": "exception.type", "value": {"stringValue": "builtins.ConnectionRefusedError"}}]
    event = {"timeUnixNano": "1", "name": "exception", "attributes": given}
    sent = span(START_S, kind=3, given={"peer.service": "bank"}, events=[event], status={"code": 2})
    (link,) = observed(tmp_path, spans_line("w1", sent))
    assert isinstance(link, Link)
    assert (link.peer, link.ok, link.category) == ("bank", False, "network")


@pytest.mark.parametrize(
    ("more", "is_root"),
    [
        ({}, True),
        ({"parentSpanId": "00f067aa0ba902b7", "flags": 0x101}, False),
        ({"parentSpanId": "00f067aa0ba902b7", "flags": 0x301}, True),
        ({"parentSpanId": "00f067aa0ba902b7", "flags": 1}, False),
        ({"parentSpanId": "0000000000000000"}, True),
    ],
)
def test_an_internal_span_counts_where_it_is_the_first_of_its_process(
    more: dict[str, Any], is_root: bool, tmp_path: Path
) -> None:
    seen = observed(tmp_path, spans_line("w1", span(START_S, kind=1, **more)))
    assert len(seen) == is_root


def test_roles_links_and_databases_are_told_apart(tmp_path: Path) -> None:
    def role(name: str, kind: int) -> dict[str, Any]:
        given = {"orchestrator.operation.name": name, "orchestrator.worker.id": "w3"}
        return span(START_S, f"{name} worker", kind, given=given)

    database = span(START_S, "SELECT", 3, given={"db.system": "postgresql"})
    lines = [
        spans_line("boss", role("assign", 4), role("handle_failure", 1), role("register", 2)),
        spans_line("w3", database),
        logs_line("boss", beat(START_S, "w3"), log(START_S, 17, "out of it", exception__type="MemoryError")),
    ]
    kinds = [type(item) for item in observed(tmp_path, *lines)]
    assert {Assignment, Membership, DatabaseOperation, Heartbeat, ErrorLog} <= set(kinds)


@pytest.mark.parametrize("error", ["", "builtins.ConnectionResetError", "asyncio.exceptions.CancelledError"])
@pytest.mark.parametrize(
    ("role", "kind", "told_when_it_fails"),
    [
        ("assign", 4, False),
        ("rebalance", 1, False),
        ("register", 2, False),
        ("deregister", 2, False),
        ("handle_failure", 1, True),
    ],
)
def test_an_assignment_or_a_registration_that_fails_has_not_come_about(
    role: str, kind: int, told_when_it_fails: bool, error: str, tmp_path: Path
) -> None:
    given = {"orchestrator.operation.name": role, "orchestrator.worker.id": "w3"}
    seen = observed(tmp_path, spans_line("boss", span(START_S, f"{role} x", kind, given=given, error=error)))
    facts = [item for item in seen if isinstance(item, Assignment | Membership)]
    assert len(facts) == (role != "rebalance" and (not error or told_when_it_fails))


@pytest.mark.parametrize("severity", [0, 13, 17, 21])
def test_an_exception_that_was_logged_says_how_severe_it_is(severity: int, tmp_path: Path) -> None:
    (error,) = observed(tmp_path, logs_line("w1", log(START_S, severity, exception__type="MemoryError")))
    assert isinstance(error, ErrorLog)
    assert error.severity == severity


def test_the_body_of_an_error_tells_what_it_means_where_no_attribute_does(tmp_path: Path) -> None:
    (error,) = observed(tmp_path, logs_line("w1", log(START_S, 17, "cannot go on: Connection refused")))
    assert isinstance(error, ErrorLog)
    assert error.category == "network"


def test_lists_and_maps_among_attributes_are_passed_over(tmp_path: Path) -> None:
    odd = [
        {"key": "tags", "value": {"arrayValue": {"values": [{"stringValue": "a"}]}}},
        {"key": "map", "value": {"kvlistValue": {"values": [{"key": "k", "value": {"intValue": "1"}}]}}},
        {"key": "bytes", "value": {"bytesValue": "AAEC"}},
        {"key": "nothing", "value": {}},
        {"key": "peer.service", "value": {"stringValue": "bank"}},
    ]
    (link,) = observed(tmp_path, spans_line("w1", span(START_S, kind=3, attributes=odd)))
    assert isinstance(link, Link)
    assert link.peer == "bank"


def test_a_log_record_without_a_time_of_its_own_counts_when_it_was_observed(tmp_path: Path) -> None:
    record = beat(START_S, "w1") | {"timeUnixNano": "0", "observedTimeUnixNano": str(int(START_S) * 10**9)}
    (seen,) = observed(tmp_path, logs_line("boss", record))
    assert seen.at == START_S


def test_unknown_fields_are_named_once_and_the_rest_is_read(tmp_path: Path) -> None:
    odd = [span(START_S + second, future="x", trace_state="y") for second in range(3)]
    played = play(tmp_path, [spans_line("w1", *odd)])
    assert played.summary["spans"] == 3
    assert played.summary["malformed"] == 0
    assert sorted(played.said) == [
        "0.jsonl:1: unknown field 'future', passed over wherever it occurs",
        "0.jsonl:1: unknown field 'trace_state', passed over wherever it occurs",
    ]


def test_spans_as_the_sdk_sends_them_say_what_they_said_live(tmp_path: Path) -> None:
    exporter = InMemorySpanExporter()
    engine = Recorder()
    provider = TracerProvider(resource=Resource({"service.name": "shop", "service.instance.id": "w1"}))
    provider.add_span_processor(MonitorSpanProcessor(engine, console=False))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("app")
    with (
        pytest.raises(ConnectionRefusedError),
        tracer.start_as_current_span("process", kind=SpanKind.CONSUMER),
        tracer.start_as_current_span("call", kind=SpanKind.CLIENT, attributes={"peer.service": "bank"}),
    ):
        raise ConnectionRefusedError("[Errno 111] Connection refused")
    driver_of(engine).stop()
    provider.shutdown()
    sent = MessageToDict(encode_spans(exporter.get_finished_spans()))
    for scope in sent["resourceSpans"][0]["scopeSpans"]:
        for one in scope["spans"]:  # the Collector writes ids in hexadecimal, as OTLP has it, not protobuf's JSON
            one |= {key: b64decode(one[key]).hex() for key in ("traceId", "spanId", "parentSpanId") if key in one}
    recorded = observed(tmp_path, json.dumps(sent) + "\n")
    assert [_timeless(item) for item in recorded] == [_timeless(item) for item in engine.seen]
    assert [type(item) for item in recorded] == [Link, Operation]


def _timeless(item: Any) -> Any:
    return item._replace(at=0.0, duration_s=round(item.duration_s, 3))


def test_our_own_alerts_in_a_recording_are_no_evidence(tmp_path: Path) -> None:
    alert = log(START_S, 17, "worker_lost", event="otel_monitor.alert.state_change")
    assert observed(tmp_path, logs_line("boss", alert)) == []
