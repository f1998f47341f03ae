"""Ids, reasons, attempts and carriers are found in the arguments of a call, however they are passed."""

from __future__ import annotations

import pickle
import uuid
from collections.abc import Callable
from enum import Enum, StrEnum
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest

from otel_monitor.instrumentation.description import describe
from otel_monitor.instrumentation.operation import Operation, Side
from otel_monitor.instrumentation.overrides import Override
from otel_monitor_processors import guard


def described(
    function: Callable[..., Any], side: Side = Side.ORCHESTRATOR, override: Override | None = None
) -> Operation:
    operation, problems = describe(
        function,  # type: ignore[arg-type]  # each is a plain function
        name=f"Fleet.{function.__name__}",
        method=function.__name__,
        side=side,
        override=override,
    )
    assert problems == []
    return pickle.loads(pickle.dumps(operation))  # type: ignore[no-any-return]  # as it arrives in another process


def assign(self: Any, stream_id: str, worker_id: str = "w0", *, reason: str = "new", attempt: int = 1) -> None: ...


@pytest.mark.parametrize(
    ("args", "kwargs", "found"),
    [
        ((None, "s1", "w1"), {}, ("w1", "s1", "new", 1)),
        ((None, "s1"), {"worker_id": "w2", "reason": "retry", "attempt": 2}, ("w2", "s1", "retry", 2)),
        ((None,), {"stream_id": "s3", "worker_id": "w3"}, ("w3", "s3", "new", 1)),
        ((None, "s4"), {}, ("w0", "s4", "new", 1)),
        ((), {}, ("w0", None, "new", 1)),
    ],
)
def test_arguments_are_found_by_position_keyword_and_default(
    args: tuple[Any, ...], kwargs: dict[str, Any], found: tuple[Any, ...]
) -> None:
    operation = described(assign)
    extractors = (operation.worker, operation.task_id, operation.reason, operation.attempt)
    assert tuple(extract and extract(args, kwargs) for extract in extractors) == found


def test_the_name_that_comes_first_in_the_list_wins_over_the_first_argument() -> None:
    def assign(self: Any, worker: str, server_id: str, task: str, stream_id: str) -> None: ...

    operation = described(assign)
    assert operation.worker is not None
    assert operation.task_id is not None
    args = (None, "worker", "server_id", "task", "stream_id")
    assert (operation.worker(args, {}), operation.task_id(args, {})) == ("server_id", "stream_id")
    assert operation.id_is_stream


class Colour(Enum):
    RED = "red"


class Name(StrEnum):
    W1 = "w1"


class Slotted:
    __slots__ = ("worker_id",)

    def __init__(self) -> None:
        self.worker_id = "w1"


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("w1", "w1"),
        (7, "7"),
        (b"w1", "w1"),
        (Name.W1, "w1"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (SimpleNamespace(id="w1"), "w1"),
        (SimpleNamespace(id=SimpleNamespace(), worker_id=7), "7"),
        ({"id": "w1"}, "w1"),
        ({"worker_id": "w1"}, "w1"),
        (MappingProxyType({"id": "w1"}), "w1"),
        (Slotted(), "w1"),
        ("x" * 500, "x" * 128),
        (None, None),
        (True, None),
        (1.5, None),
        ({}, None),
        (object(), None),
        ([1], None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_id_is_a_scalar_or_a_member_of_what_is_passed(value: object, found: str | None) -> None:
    def register(self: Any, worker: object) -> None: ...

    operation = described(register)
    assert operation.worker is not None
    assert operation.worker((None, value), {}) == found


def test_an_enum_as_reason_is_its_value() -> None:
    operation = described(assign)
    assert operation.reason is not None
    assert operation.reason((None, "s1"), {"reason": Colour.RED}) == "red"


class Trap:
    @property
    def id(self) -> str:
        raise RuntimeError("not here")


def test_an_attribute_that_raises_is_no_id_and_hurts_nobody() -> None:
    def register(self: Any, worker: object) -> None: ...

    guard.reraise_errors(enabled=False)
    operation = described(register)
    assert operation.worker is not None
    assert operation.worker((None, Trap()), {}) is None


def test_the_receiver_is_never_taken_for_an_id() -> None:
    def process(worker: Any, stream: str) -> None: ...

    assert described(process).worker is None


def test_keywords_of_a_function_that_takes_any_are_looked_up_in_each_call() -> None:
    def dispatch(self: Any, *parts: Any, **options: Any) -> None: ...

    operation = described(dispatch)
    assert operation.worker is not None
    assert operation.worker((None,), {"colour": 1, "node_id": "n1"}) == "n1"
    assert operation.worker((None, "w1"), {}) is None


def test_a_decorator_that_passes_everything_on_does_not_hide_the_arguments() -> None:
    import functools

    @functools.wraps(assign)
    def logged(*args: Any, **kwargs: Any) -> None: ...

    operation = described(logged)
    assert operation.worker is not None
    assert operation.worker((None, "s1", "w1"), {}) == "w1"


@pytest.mark.parametrize("attempt", ["two", None, True, 2.5])
def test_an_attempt_that_is_no_whole_number_is_none(attempt: object) -> None:
    operation = described(assign)
    assert operation.attempt is not None
    assert operation.attempt((None, "s1"), {"attempt": attempt}) is None


@pytest.mark.parametrize(
    ("args", "kwargs", "found"),
    [
        ((None, "s1", {"a": "b"}), {}, {"a": "b"}),
        ((None, "s1"), {"headers": {}}, {}),
        ((None, {"traceparent": "00"}), {}, {"traceparent": "00"}),
        ((None, {"id": "s1", "headers": {"traceparent": "01"}}), {}, {"traceparent": "01"}),
        ((None, {"id": "s1"}), {}, None),
        ((None, "s1", None), {}, None),
        ((None, "s1", "no mapping"), {}, None),
    ],
)
def test_a_carrier_is_the_argument_named_for_it_or_a_dict_that_holds_headers(
    args: tuple[Any, ...], kwargs: dict[str, Any], found: object
) -> None:
    def process(self: Any, message: Any, headers: Any = None) -> None: ...

    operation = described(process, Side.WORKER)
    assert operation.carrier is not None
    assert operation.carrier(args, kwargs) == found


def test_the_carrier_is_the_very_dict_so_that_headers_can_be_written_into_it() -> None:
    def assign(self: Any, stream_id: str, headers: dict[str, str]) -> None: ...

    carrier: dict[str, str] = {}
    operation = described(assign)
    assert operation.carrier is not None
    assert operation.carrier((None, "s1", carrier), {}) is carrier


def test_a_worker_says_who_it_is_by_its_attribute() -> None:
    def process(self: Any, stream: str) -> None: ...

    extract = described(process, Side.WORKER).own_worker
    assert extract is not None
    assert extract((SimpleNamespace(worker_id="w1", node="n1"), "s1"), {}) == "w1"
    assert extract((SimpleNamespace(node=SimpleNamespace(id="n1")), "s1"), {}) == "n1"
    assert extract((Slotted(), "s1"), {}) == "w1"
    assert extract((object(), "s1"), {}) is None
    assert extract((), {}) is None
    assert described(process, Side.ORCHESTRATOR).own_worker is None


def test_a_workers_getattr_is_not_asked_who_it_is() -> None:
    class Proxy:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"asked a server for {name}")

    def process(self: Any, stream: str) -> None: ...

    extract = described(process, Side.WORKER).own_worker
    assert extract is not None
    assert extract((Proxy(), "s1"), {}) is None


@pytest.mark.parametrize(
    ("method", "parameters", "task"),
    [
        ("process", "stream_id", "stream"),
        ("process", "job", "job"),
        ("process", "payload", "task"),
        ("run_job", "x", "job"),
    ],
)
def test_a_task_is_named_by_the_method_else_by_its_argument(method: str, parameters: str, task: str) -> None:
    namespace: dict[str, Any] = {}
    exec(f"def {method}(self, {parameters}): ...", namespace)
    operation = described(namespace[method], Side.WORKER)
    assert (operation.task_name, operation.span_name) == (task, f"process {task}")
