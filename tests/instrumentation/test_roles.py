"""What a method does is told by its name, or else by the configuration."""

from __future__ import annotations

import pytest
from opentelemetry.trace import SpanKind

from otel_monitor.instrumentation.operation import Role, Side
from otel_monitor.instrumentation.roles import kind_of, recognise, span_name_of, work_of

BOTH = tuple(Side)
ORCHESTRATOR = (Side.ORCHESTRATOR,)
WORKER = (Side.WORKER,)


@pytest.mark.parametrize(
    ("role", "sides", "names"),
    [
        (Role.REGISTER, BOTH, "register register_worker register_server_instance add_worker add_node add_server join"),
        (Role.REGISTER, BOTH, "add_instance"),
        (Role.DEREGISTER, BOTH, "deregister unregister deregister_worker unregister_node remove_worker leave"),
        (Role.HEARTBEAT, BOTH, "heartbeat heartbeats send_heartbeat receive_heartbeats heartbeat_worker ping"),
        (Role.HEARTBEAT, BOTH, "report_state on_heartbeat handle_worker_heartbeat register_heartbeat"),
        (Role.ASSIGN, ORCHESTRATOR, "assign assign_stream dispatch dispatch_job schedule schedule_task_now"),
        (Role.REBALANCE, ORCHESTRATOR, "rebalance rebalance_streams balance balance_load redistribute_streams"),
        (Role.HANDLE_FAILURE, ORCHESTRATOR, "handle_failure handle_failures handle_worker_failure on_worker_lost"),
        (Role.HANDLE_FAILURE, ORCHESTRATOR, "on_failed on_node_down handle_heartbeat_failure"),
        (Role.HANDLE_FAILURE, ORCHESTRATOR, "handle_heartbeat_timeout on_worker_heartbeat_missed"),
        (Role.PROCESS, WORKER, "process process_stream handle_task handle_message run_job execute execute_query"),
    ],
)
def test_a_role_is_recognised_on_its_sides_alone(role: Role, sides: tuple[Side, ...], names: str) -> None:
    for name in names.split():
        for side in Side:
            found = recognise(name, side)
            assert (found is role) == (side in sides), (name, side, found)


@pytest.mark.parametrize(
    "name", ["preprocess", "processor", "registered", "reassign", "start", "heartbeating", "dispatcher", "add_stream"]
)
def test_a_name_that_only_resembles_one_is_an_operation_like_any_other(name: str) -> None:
    assert {recognise(name, side) for side in Side} == {Role.OPERATION}


@pytest.mark.parametrize(
    ("method", "work"),
    [("process_stream", "stream"), ("run_job", "job"), ("assign_stream_to", "stream_to"), ("process", None)],
)
def test_the_work_is_the_name_without_its_verb(method: str, work: str | None) -> None:
    assert work_of(method) == work


@pytest.mark.parametrize(
    ("role", "side", "span", "kind"),
    [
        (Role.REGISTER, Side.ORCHESTRATOR, "register worker", SpanKind.SERVER),
        (Role.REGISTER, Side.WORKER, "register worker", SpanKind.CLIENT),
        (Role.DEREGISTER, Side.ORCHESTRATOR, "deregister worker", SpanKind.SERVER),
        (Role.DEREGISTER, Side.WORKER, "deregister worker", SpanKind.CLIENT),
        (Role.HEARTBEAT, Side.ORCHESTRATOR, "heartbeat worker", SpanKind.SERVER),
        (Role.HEARTBEAT, Side.WORKER, "heartbeat worker", SpanKind.CLIENT),
        (Role.ASSIGN, Side.ORCHESTRATOR, "assign stream", SpanKind.PRODUCER),
        (Role.REBALANCE, Side.ORCHESTRATOR, "rebalance streams", SpanKind.INTERNAL),
        (Role.HANDLE_FAILURE, Side.ORCHESTRATOR, "handle_failure worker", SpanKind.INTERNAL),
        (Role.PROCESS, Side.WORKER, "process stream", SpanKind.CONSUMER),
        (Role.OPERATION, Side.WORKER, "Worker.start", SpanKind.INTERNAL),
    ],
)
def test_spans_are_named_and_directed_by_role(role: Role, side: Side, span: str, kind: SpanKind) -> None:
    assert span_name_of(role, "Worker.start", "stream") == span
    assert kind_of(role, side) is kind
