"""What is recorded of a call: its span, its metrics, and what the driver is told, in which order."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from dataclasses import replace
from typing import Any

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from otel_monitor.instrumentation import recorder
from otel_monitor.instrumentation.operation import Role, Side
from otel_monitor.settings import Settings
from otel_monitor_processors import guard
from otel_monitor_processors.classification import Category
from otel_monitor_processors.observation import Operation, Outcome, TraceRef
from tests.telemetry.recording import (
    ASSIGN,
    HANDLE_FAILURE,
    HEARTBEAT,
    PROCESS,
    REBALANCE,
    REFRESH,
    REGISTER,
    SEND_HEARTBEAT,
    SEND_REGISTER,
    SERVICE,
    SOURCE,
    Process,
    argument,
    operation,
    start_process,
)


class WorkerGoneError(Exception):
    """An error of the application's."""


@pytest.mark.parametrize(
    ("wrapped", "name", "kind"),
    [
        (REGISTER, "register worker", SpanKind.SERVER),
        (SEND_REGISTER, "register worker", SpanKind.CLIENT),
        (ASSIGN, "assign stream", SpanKind.PRODUCER),
        (REBALANCE, "rebalance worker", SpanKind.INTERNAL),
        (HANDLE_FAILURE, "handle_failure worker", SpanKind.INTERNAL),
        (PROCESS, "process stream", SpanKind.CONSUMER),
        (REFRESH, "Fleet.refresh", SpanKind.INTERNAL),
    ],
)
def test_a_call_has_a_span_of_its_roles_name_and_kind(
    process: Process, wrapped: object, name: str, kind: SpanKind
) -> None:
    process.call(wrapped)  # type: ignore[arg-type]  # parametrize erases the type
    assert (process.span.name, process.span.kind, process.span.status.status_code) == (name, kind, StatusCode.UNSET)
    assert process.span.instrumentation_scope is not None
    assert process.span.instrumentation_scope.name == "otel_monitor.instrumentation"


def test_a_span_says_whom_and_what_it_is_about(process: Process) -> None:
    process.call(ASSIGN, worker_id="w1", stream_id="s7", attempt=3)
    assert dict(process.span.attributes or {}) == {
        "orchestrator.operation.name": "assign",
        "orchestrator.worker.id": "w1",
        "orchestrator.task.name": "stream",
        "orchestrator.stream.id": "s7",
        "orchestrator.task.attempt": 3,
        "orchestrator.assignment.reason": "new",
    }


def test_a_task_that_is_no_stream_has_a_task_id(process: Process) -> None:
    process.call(operation(Role.PROCESS, Side.WORKER, "job", worker=None, id_is_stream=False), stream_id="j1")
    attributes = process.span.attributes or {}
    assert attributes["orchestrator.task.id"] == "j1"
    assert "orchestrator.stream.id" not in attributes


def test_on_a_worker_the_worker_is_the_instance_itself(process: Process) -> None:
    process.call(PROCESS)
    assert (process.span.attributes or {})["orchestrator.worker.id"] == SOURCE


def test_on_a_worker_that_names_itself_its_own_name_is_the_workers(process: Process) -> None:
    process.call(operation(Role.PROCESS, Side.WORKER, "job", worker=None, own_worker=argument("me")), me="w9")
    assert (process.span.attributes or {})["orchestrator.worker.id"] == "w9"


def test_the_configured_task_name_beats_that_of_the_method(process: Process) -> None:
    process.call(replace(operation(Role.ASSIGN, task="order"), task=argument("kind")), kind="refund")
    assert process.span.name == "assign refund"
    assert (process.span.attributes or {})["orchestrator.task.name"] == "refund"


def test_an_error_marks_the_span_and_is_counted_by_its_category(process: Process) -> None:
    process.call(PROCESS, error=ConnectionRefusedError(111, "refused"))
    span = process.span
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "ConnectionRefusedError: [Errno 111] refused"
    assert (span.attributes or {})["error.type"] == "ConnectionRefusedError"
    assert (span.attributes or {})["otel_monitor.error.category"] == "network"
    assert [event.name for event in span.events] == ["exception"]
    assert process.values("orchestrator.errors") == {(("otel_monitor.error.category", "network"),): 1}


def test_error_type_is_the_qualified_class_of_the_exception(process: Process) -> None:
    process.call(REFRESH, error=WorkerGoneError("gone"))
    assert (process.span.attributes or {})["error.type"] == f"{__name__}.WorkerGoneError"
    points = process.points()["orchestrator.operation.duration"]
    assert list(points) == [
        (("error.type", f"{__name__}.WorkerGoneError"), ("orchestrator.operation.name", "Fleet.refresh"))
    ]


@pytest.mark.parametrize("error", [asyncio.CancelledError(), GeneratorExit(), StopIteration(3), KeyboardInterrupt()])
def test_control_flow_is_no_error(process: Process, error: BaseException) -> None:
    process.call(PROCESS, error=error)
    assert process.span.status.status_code is StatusCode.UNSET
    assert not process.span.events
    assert not {"error.type", "otel_monitor.error.category"} & set(process.span.attributes or {})
    assert "orchestrator.errors" not in process.points()


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, Outcome.OK),
        (StopIteration(), Outcome.OK),
        (GeneratorExit(), Outcome.OK),
        (asyncio.CancelledError(), Outcome.CANCELLED),
        (ValueError(), Outcome.FAILED),
    ],
)
def test_the_driver_is_told_how_a_call_ended(process: Process, error: BaseException | None, outcome: Outcome) -> None:
    process.call(PROCESS, stream_id="s1", error=error)
    (seen,) = process.driver.of(Operation)
    context = process.span.context
    assert context is not None
    assert seen.outcome is outcome
    assert (seen.source, seen.service, seen.name, seen.task_id) == (SOURCE, SERVICE, "process", "s1")
    assert seen.category is (Category.APPLICATION if outcome is Outcome.FAILED else None)
    assert seen.trace == TraceRef(context.trace_id, context.span_id)
    assert seen.at == pytest.approx(process.clock.now + seen.duration_s)


def test_a_failed_call_is_judged_at_once_and_a_healthy_one_when_there_is_time(process: Process) -> None:
    process.call(PROCESS)
    assert not process.driver.observed
    process.call(PROCESS, error=ValueError())
    assert len(process.driver.observed) == 1


@pytest.mark.parametrize(
    "slow",
    [{"settings": Settings(response_time_warning=0.0)}, {"slow_s": 0.0}],
    ids=["by the settings", "by a rule"],
)
def test_a_slow_call_is_judged_at_once(slow: dict[str, Any]) -> None:
    process = start_process(**slow)
    process.call(PROCESS)
    assert len(process.driver.observed) == 1
    recorder.uninstall()


def test_what_was_observed_reaches_the_driver_before_the_span_ends(process: Process) -> None:
    spans_at_observation: list[int] = []
    process.driver.on_observe = lambda observation: spans_at_observation.append(len(process.spans))
    process.call(PROCESS, error=ValueError())
    assert spans_at_observation == [0]
    assert len(process.spans) == 1


def test_an_unsampled_call_is_measured_and_observed_all_the_same() -> None:
    process = start_process(sampler=ALWAYS_OFF)
    process.call(PROCESS, error=ValueError())
    recorder.uninstall()
    assert not process.spans
    assert sum(process.values("orchestrator.operation.duration").values()) == 1
    (seen,) = process.driver.of(Operation)
    assert (seen.outcome, seen.trace) == (Outcome.FAILED, None)


def test_an_unsampled_call_is_the_parent_of_what_it_calls() -> None:
    process = start_process(sampler=ALWAYS_OFF)
    inner: list[trace.SpanContext] = []
    process.call(PROCESS, body=lambda: inner.append(trace.get_current_span().get_span_context()))
    recorder.uninstall()
    assert inner[0].is_valid
    assert not inner[0].trace_flags.sampled


def test_the_span_is_current_inside_the_call_and_gone_after_it(process: Process) -> None:
    inner: list[trace.SpanContext] = []
    process.call(REFRESH, body=lambda: inner.append(trace.get_current_span().get_span_context()))
    assert inner == [process.span.context]
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_calls_inside_a_call_are_its_children(process: Process) -> None:
    process.call(REBALANCE, body=lambda: process.call(ASSIGN))
    inner, outer = process.spans
    assert inner.parent is not None
    assert outer.context is not None
    assert inner.parent.span_id == outer.context.span_id


def test_a_generators_span_is_current_in_its_body_only(process: Process) -> None:
    call = recorder.begin(PROCESS, (), {}, attach=False)
    assert call is not None
    for _ in range(2):
        assert trace.get_current_span() is trace.INVALID_SPAN
        token = recorder.enter(call)
        assert trace.get_current_span() is call.span
        recorder.leave(call, token)
    recorder.end(call, None)
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert len(process.spans) == 1


def test_a_call_that_ends_in_another_context_says_nothing(process: Process, caplog: pytest.LogCaptureFixture) -> None:
    call = contextvars.copy_context().run(recorder.begin, PROCESS, (), {})
    assert call is not None
    with caplog.at_level(logging.DEBUG):
        recorder.end(call, GeneratorExit())
    assert len(process.spans) == 1
    assert not caplog.records


def test_a_healthy_heartbeat_has_no_span(process: Process) -> None:
    process.call(HEARTBEAT, worker_id="w1")
    process.call(SEND_HEARTBEAT)
    assert not process.spans
    assert process.values("orchestrator.heartbeat.duration") == {(): 2}


@pytest.mark.parametrize("wrapped", [HEARTBEAT, SEND_HEARTBEAT])
def test_a_failed_heartbeat_gets_a_span_afterwards(process: Process, wrapped: object) -> None:
    with process.tracer_provider.get_tracer("test").start_as_current_span("caller") as caller:
        process.call(wrapped, worker_id="w1", error=TimeoutError("late"))  # type: ignore[arg-type]
    span, _ = process.spans
    assert span.name == "heartbeat worker"
    assert span.status.status_code is StatusCode.ERROR
    assert span.parent == caller.get_span_context()
    assert [event.name for event in span.events] == ["exception"]
    (seen,) = process.driver.of(Operation)
    assert span.context is not None
    assert seen.trace == TraceRef(span.context.trace_id, span.context.span_id)
    assert process.driver.observed == [seen]


def test_a_slow_heartbeats_span_covers_the_call() -> None:
    process = start_process(settings=Settings(response_time_warning=0.0))
    process.call(HEARTBEAT, worker_id="w1")
    recorder.uninstall()
    (seen,) = process.driver.of(Operation)
    span = process.span
    assert span.end_time is not None
    assert span.start_time is not None
    assert span.end_time - span.start_time >= seen.duration_s * 1e9
    assert (span.attributes or {})["orchestrator.worker.id"] == "w1"
    assert span.status.status_code is StatusCode.UNSET


def test_exporters_own_calls_are_not_recorded(process: Process) -> None:
    with suppress_instrumentation():
        assert recorder.begin(PROCESS, (), {}) is None


def test_nothing_is_recorded_unless_telemetry_is_installed(process: Process) -> None:
    call = recorder.begin(PROCESS, (), {})
    assert call is not None
    recorder.uninstall()
    assert recorder.begin(PROCESS, (), {}) is None
    recorder.end(call, None)
    assert len(process.spans) == 1


class _SpeechlessError(Exception):
    def __str__(self) -> str:
        raise ValueError


def test_an_error_that_cannot_be_printed_is_recorded_all_the_same(process: Process) -> None:
    guard.reraise_errors(enabled=False)
    process.call(PROCESS, error=_SpeechlessError())
    assert process.span.status.status_code is StatusCode.ERROR
    assert (process.span.attributes or {})["error.type"] == f"{__name__}._SpeechlessError"


def test_a_long_message_is_cut_in_the_description(process: Process) -> None:
    process.call(PROCESS, error=ValueError("x" * 10_000))
    assert len(process.span.status.description or "") == 1_000


def test_time_spent_in_our_hooks_is_counted(process: Process) -> None:
    for _ in range(64):
        process.call(REFRESH)
    assert process.values("otel_monitor.self.overhead.duration")[("component", "recorder"),] > 0


def test_the_context_is_the_callers_own_again_after_nested_calls(process: Process) -> None:
    before = otel_context.get_current()
    process.call(REBALANCE, body=lambda: process.call(ASSIGN, body=lambda: process.call(REFRESH)))
    assert otel_context.get_current() is before
