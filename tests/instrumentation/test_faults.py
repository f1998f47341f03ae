"""An error inside any single hook around a call leaves the call as it is."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

import pytest

from otel_monitor.instrumentation.operation import Side
from otel_monitor_processors import guard
from tests.instrumentation.twins import instrument, outcome
from tests.telemetry.recording import Process

HOOKS = (
    "arguments.identity",
    "arguments.own_identity",
    "arguments.path",
    "nesting.begin",
    "nesting.end",
    "nesting.enter",
    "nesting.leave",
    "patching.method",
    "recorder.begin",
    "recorder.end",
    "recorder.enter",
    "recorder.leave",
    "registry.wrap",
    "sharing.begin",
)


def make() -> tuple[Any, Any]:
    class Base:
        def report(self, task: Any) -> Any:
            return task

        def process(self, task: Any) -> list[Any]:
            if task is None:
                raise KeyError("no task")
            return [task]

        def read(self, number: int) -> Any:
            yield from range(number)

        async def process_later(self, task: Any) -> list[Any]:
            await asyncio.sleep(0)
            return [task]

        async def watch(self, number: int) -> Any:
            for item in range(number):
                await asyncio.sleep(0)
                yield item

    class Worker(Base):
        def process(self, task: Any) -> list[Any]:
            return ["worker", *super().process(task)]

        def read(self, number: int) -> Any:
            yield "first"
            yield from super().read(number)

        async def process_later(self, task: Any) -> list[Any]:
            return ["worker", *await super().process_later(task)]

        async def watch(self, number: int) -> Any:
            yield "first"
            async for item in super().watch(number):
                yield item

    return Base, Worker


def act(worker: Any) -> list[Any]:
    async def later() -> list[Any]:
        return [await worker.process_later({"id": "t1"}), [item async for item in worker.watch(2)]]

    return [
        worker.report({"id": "t0"}),
        outcome(lambda: worker.process({"id": "t1"})),
        outcome(lambda: worker.process(None)),
        list(worker.read(2)),
        asyncio.run(later()),
    ]


@pytest.mark.parametrize("hook", HOOKS)
def test_an_error_in_a_hook_leaves_every_call_as_it_is(hook: str, process: Process) -> None:
    guard.reraise_errors(enabled=False)
    expected = act(make()[1]())
    base, worker = make()
    guard.inject_fault(hook, RuntimeError("a fault of ours"))
    for cls in (worker, base):
        instrument(cls, Side.WORKER)
    # In a context of its own: a hook that fails leaves its span the current one.
    assert contextvars.copy_context().run(act, worker()) == expected


def test_every_hook_of_the_instrumentation_is_in_the_list() -> None:
    areas = ("arguments", "nesting", "patching", "recorder", "registry", "sharing")
    elsewhere = {"recorder.description", "recorder.exception"}
    found = {name for name in guard.SITES if name.partition(".")[0] in areas}
    assert set(HOOKS) <= found
    at_import = {"registry.imported", "registry.find", "registry.check_unresolved", "registry.why_not_found"}
    assert found - set(HOOKS) - at_import - elsewhere == set()
