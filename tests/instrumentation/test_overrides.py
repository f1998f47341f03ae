"""The configuration says what a method is where its name does not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.trace import SpanKind

from otel_monitor.instrumentation.operation import Side
from otel_monitor.instrumentation.overrides import read_overrides
from otel_monitor.instrumentation.patching import NamedClass, patches
from tests.instrumentation.twins import instrument, is_wrapped
from tests.telemetry.recording import Process


def make_scheduler() -> Any:
    class Scheduler:
        def place(self, order: Any, target: str) -> str:
            return target

        def debug(self) -> str:
            return "debug"

        def _place_quietly(self, order: Any) -> None: ...

        @property
        def load(self) -> float:
            return 0.5

    Scheduler.__qualname__ = "Scheduler"
    Scheduler.__module__ = "shop.fleet"
    return Scheduler


def added(operations: dict[str, Any]) -> tuple[Any, list[str]]:
    """A class with these overrides, and what they say in vain."""
    overrides, problems = read_overrides(operations)
    assert problems == []
    cls = make_scheduler()
    found = patches.add(NamedClass(cls, Side.ORCHESTRATOR, frozenset({"shop.fleet"})), overrides)
    return cls, [str(problem) for problem in found]


PLACE = "shop.fleet:Scheduler.place"


def test_role_worker_task_and_id_come_from_where_the_override_says(process: Process) -> None:
    cls, problems = added(
        {PLACE: {"role": "assign", "worker": "target", "task": "order.kind", "task_id": "order.lines.id"}}
    )
    assert problems == []
    order = SimpleNamespace(kind="express", lines={"id": 17})
    assert cls().place(order, target="w1") == "w1"
    span = process.span
    assert span.name == "assign express"
    assert span.kind is SpanKind.PRODUCER
    expected = {
        "orchestrator.operation.name": "assign",
        "orchestrator.worker.id": "w1",
        "orchestrator.task.name": "express",
        "orchestrator.task.id": "17",
    }
    assert expected.items() <= dict(span.attributes or {}).items()


def test_an_ignored_method_is_not_wrapped(process: Process) -> None:
    cls, problems = added({"shop.fleet:Scheduler.debug": {"role": "ignore"}})
    assert problems == []
    assert not is_wrapped(cls, "debug")
    assert is_wrapped(cls, "place")


def test_a_private_method_is_wrapped_when_an_override_names_it(process: Process) -> None:
    cls, _ = added({"shop.fleet:Scheduler._place_quietly": {"role": "assign", "task_id": "self.order"}})
    assert is_wrapped(cls, "_place_quietly")
    assert not is_wrapped(make_scheduler(), "_place_quietly")


def test_an_override_of_another_class_changes_nothing(process: Process) -> None:
    cls, problems = added(
        {"shop.fleet:Other.place": {"role": "ignore"}, "shop.other:Scheduler.place": {"role": "ignore"}}
    )
    assert problems == []
    assert is_wrapped(cls, "place")


@pytest.mark.parametrize(
    ("method", "says", "problem"),
    [
        ("plcae", {"role": "assign"}, ": shop.fleet:Scheduler has no method 'plcae' (did you mean 'place'?)"),
        (
            "place",
            {"worker": "targte"},
            ".worker: make_scheduler.<locals>.Scheduler.place has no argument 'targte' (did you mean 'target'?)",
        ),
        (
            "load",
            {"role": "assign"},
            ": shop.fleet:Scheduler.load is a property of shop.fleet.Scheduler, which is left alone",
        ),
    ],
)
def test_an_override_that_leads_nowhere_is_said_with_the_nearest_match(
    method: str, says: dict[str, str], problem: str, process: Process
) -> None:
    key = f"shop.fleet:Scheduler.{method}"
    cls, problems = added({key: says})
    assert problems == [f"operations.{key}{problem}"]
    assert cls().place(None, "w1") == "w1"


def test_every_mistake_is_said_at_once() -> None:
    overrides, problems = read_overrides(
        {
            "shop.fleet.Scheduler.place": {"role": "assign"},
            PLACE: {"role": "asign", "taks": "order.kind", "worker": 7, "task_id": "order..id"},
            "shop.fleet:Scheduler.debug": "ignore",
            "shop.fleet:Scheduler.fine": {"role": "ignore"},
        },
        "fleet.json",
    )
    assert [override.method for override in overrides] == ["fine"]
    keys = "role, worker, task, task_id"
    roles = "register, deregister, heartbeat, assign, rebalance, handle_failure, process, operation, ignore"
    path = "is not a dotted path over the method's arguments, such as 'order.id'"
    assert [(problem.path, problem.message) for problem in problems] == [
        (
            "operations.shop.fleet.Scheduler.place",
            "'shop.fleet.Scheduler.place' is not package.module:Class.method",
        ),
        (f"operations.{PLACE}.role", f"'asign' is not one of {roles} (did you mean 'assign'?)"),
        (f"operations.{PLACE}.taks", f"unknown key, expected {keys} (did you mean 'task'?)"),
        (f"operations.{PLACE}.worker", f"7 {path}"),
        (f"operations.{PLACE}.task_id", f"'order..id' {path}"),
        ("operations.shop.fleet:Scheduler.debug", f"expected an object with {keys}, got 'ignore'"),
    ]
    assert {problem.origin for problem in problems} == {"fleet.json"}


def test_overrides_of_an_inherited_method_may_name_the_class_that_defines_it(process: Process) -> None:
    base = make_scheduler()

    class Special(base):  # type: ignore[misc,valid-type]  # a class made at run time
        """Inherits everything."""

    Special.__module__ = "shop.special"
    overrides, _ = read_overrides({PLACE: {"role": "assign", "worker": "target"}})
    instrument(Special, Side.ORCHESTRATOR, *overrides)
    Special().place(None, "w1")
    assert (process.span.attributes or {})["orchestrator.worker.id"] == "w1"
