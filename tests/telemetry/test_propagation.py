"""The trace travels with a task in a dictionary, and so does the time of its assignment."""

from __future__ import annotations

import time
from types import MappingProxyType
from typing import Any

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState, set_span_in_context

from otel_monitor.instrumentation import propagation, recorder
from otel_monitor.settings import Settings
from tests.telemetry.recording import ASSIGN, PROCESS, Process, start_process

HEADERS = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "vendor=1"}


def test_the_span_of_processing_is_a_child_of_the_span_of_assignment(process: Process) -> None:
    headers: dict[str, Any] = {"priority": "high"}
    process.call(ASSIGN, stream_id="s1", worker_id="w1", headers=headers)
    process.call(PROCESS, stream_id="s1", headers=headers)
    assign, processing = process.spans
    assert assign.context is not None
    assert processing.context is not None
    assert processing.parent is not None
    assert processing.parent.span_id == assign.context.span_id
    assert processing.parent.is_remote
    assert processing.context.trace_id == assign.context.trace_id
    assert headers["priority"] == "high"


def test_what_an_earlier_assignment_wrote_is_replaced(process: Process) -> None:
    headers: dict[str, Any] = dict(HEADERS)
    process.call(ASSIGN, stream_id="s1", worker_id="w1", headers=headers)
    first = dict(headers)
    process.call(ASSIGN, stream_id="s1", worker_id="w1", headers=headers)
    assert first["traceparent"] != headers["traceparent"] != HEADERS["traceparent"]
    assert "tracestate" not in headers


def test_one_setting_turns_the_writing_off() -> None:
    process = start_process(settings=Settings(inject_carriers=False))
    headers: dict[str, Any] = {}
    process.call(ASSIGN, stream_id="s1", worker_id="w1", headers=headers)
    recorder.uninstall()
    assert not headers


class _Headers(dict[str, Any]):
    """Somebody's own kind of dictionary, which may do anything when it is written to."""


@pytest.mark.parametrize("headers", [_Headers(), MappingProxyType({}), [("a", "b")], None, "headers"])
def test_only_a_plain_dictionary_is_written_to(process: Process, headers: Any) -> None:
    process.call(ASSIGN, stream_id="s1", worker_id="w1", headers=headers)
    assert not headers or headers in ([("a", "b")], "headers")
    assert len(process.spans) == 1


@pytest.mark.parametrize(
    "traceparent", ["", "nonsense", "00-0-0-01", b"\xff\xfe", 7, None, "00-" + "0" * 32 + "-" + "0" * 16 + "-01"]
)
def test_headers_that_are_none_start_a_new_trace(process: Process, traceparent: Any) -> None:
    process.call(PROCESS, stream_id="s1", headers={"traceparent": traceparent})
    assert process.span.parent is None


def test_headers_as_bytes_are_understood(process: Process) -> None:
    process.call(PROCESS, headers={name: text.encode() for name, text in HEADERS.items()})
    assert process.span.parent is not None
    assert f"{process.span.parent.trace_id:032x}" in HEADERS["traceparent"]


def test_a_span_of_the_tasks_own_trace_stays_the_parent(process: Process) -> None:
    """As when a broker's instrumentation has continued the trace already."""
    outer = NonRecordingSpan(
        SpanContext(int("0af7651916cd43dd8448eb211c80319c", 16), 99, is_remote=False, trace_flags=TraceFlags(1))
    )
    token = otel_context.attach(set_span_in_context(outer))
    process.call(PROCESS, headers=dict(HEADERS))
    otel_context.detach(token)
    assert process.span.parent is not None
    assert process.span.parent.span_id == 99


def test_the_tasks_trace_beats_that_of_the_workers_loop(process: Process) -> None:
    with process.tracer_provider.get_tracer("test").start_as_current_span("worker loop"):
        process.call(PROCESS, headers=dict(HEADERS))
    processing, _ = process.spans
    assert processing.parent is not None
    assert f"{processing.parent.span_id:016x}" in HEADERS["traceparent"]


def test_a_task_that_was_not_sampled_is_not_sampled_either(process: Process) -> None:
    process.call(PROCESS, headers={"traceparent": HEADERS["traceparent"][:-2] + "00"})
    assert not process.spans


@pytest.mark.parametrize("ago_s", [1.5, -60.0])
def test_a_task_waits_from_its_assignment_to_its_start_by_the_clocks_of_both_hosts(
    process: Process, ago_s: float
) -> None:
    headers = {"otel-monitor-assigned-at": str(int((time.time() - ago_s) * 1e3))}
    process.call(PROCESS, headers=headers)
    (point,) = process.points()["orchestrator.task.queue.duration"].values()
    assert point.sum == pytest.approx(max(0.0, ago_s), abs=0.5)


@pytest.mark.parametrize("text", ["", "soon", "-5", "9" * 400, None, "1e9", "٣"])
def test_a_time_of_assignment_that_is_none_is_passed_over(process: Process, text: Any) -> None:
    process.call(PROCESS, headers={"otel-monitor-assigned-at": text})
    assert "orchestrator.task.queue.duration" not in process.points()


def test_users_carry_a_trace_by_hand(process: Process) -> None:
    carrier: dict[str, str] = {}
    with process.tracer_provider.get_tracer("test").start_as_current_span("sender") as sender:
        propagation.inject(carrier)
    token = otel_context.attach(propagation.extract(carrier))
    try:
        current = trace.get_current_span().get_span_context()
    finally:
        otel_context.detach(token)
    assert (current.trace_id, current.span_id) == (
        sender.get_span_context().trace_id,
        sender.get_span_context().span_id,
    )
    assert propagation.waited_s(carrier) == pytest.approx(0.0, abs=1.0)


def test_without_a_trace_nothing_is_written_and_nothing_is_found() -> None:
    carrier: dict[str, str] = {}
    propagation.inject(carrier)
    assert not carrier
    assert propagation.extract({}) is otel_context.get_current()


def test_the_trace_state_travels_too() -> None:
    span = NonRecordingSpan(
        SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(1), trace_state=TraceState([("a", "b")]))
    )
    carrier: dict[str, str] = {}
    propagation.inject(carrier, set_span_in_context(span))
    assert (carrier["traceparent"], carrier["tracestate"]) == (f"00-{1:032x}-{2:016x}-01", "a=b")
    extracted = trace.get_current_span(propagation.extract(carrier)).get_span_context()
    assert extracted.trace_state == {"a": "b"}
