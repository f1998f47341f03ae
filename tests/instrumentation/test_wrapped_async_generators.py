"""A wrapped asynchronous generator is iterated, sent to, thrown into, closed and forgotten as before."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from opentelemetry import trace

from tests.instrumentation import samples
from tests.instrumentation.twins import Pair, outcome
from tests.telemetry.recording import Process


def with_worker(act: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Any]:
    """What `act` returns in an event loop of its own, what the worker has noted, and what the loop complained about."""

    def run(cls: Any) -> Any:
        complaints: list[str] = []
        worker = cls()

        async def main() -> Any:
            handler: Any = lambda _loop, context: complaints.append(context["message"])  # noqa: E731
            asyncio.get_running_loop().set_exception_handler(handler)
            return await act(worker)

        return asyncio.run(main()), worker.done, complaints

    return run


async def outcome_of(awaitable: Awaitable[Any]) -> tuple[Any, ...]:
    try:
        return ("returned", await awaitable)
    except BaseException as error:  # noqa: BLE001 - cancellations are outcomes too
        return ("raised", type(error), str(error))


def test_an_async_generator_yields_its_items(twins: Pair) -> None:
    async def act(worker: Any) -> list[int]:
        return [item async for item in worker.watch(3)]

    assert twins(samples.make_worker).behave_alike(with_worker(act)) == ([0, 1, 2], [None] * 3 + ["closed"], [])


def test_nothing_runs_before_the_first_item_is_awaited(twins: Pair) -> None:
    async def act(worker: Any) -> bool:
        worker.watch(3)
        return inspect.isasyncgen(worker.watch(3))

    assert twins(samples.make_worker).look_alike(with_worker(act)) == (True, [], [])


def test_asend_arrives(twins: Pair) -> None:
    async def act(worker: Any) -> list[Any]:
        generator = worker.watch(3)
        return [
            await anext(generator),
            await generator.asend("a"),
            await generator.asend("b"),
            await generator.aclose(),
        ]

    assert twins(samples.make_worker).behave_alike(with_worker(act))[1] == ["a", "b", "closed"]


def test_asend_before_the_first_item_raises_the_same_error(twins: Pair) -> None:
    async def act(worker: Any) -> Any:
        return await outcome_of(worker.watch(3).asend("early"))

    twins(samples.make_worker).look_alike(with_worker(act))


def test_athrow_that_is_caught_goes_on(twins: Pair) -> None:
    async def act(worker: Any) -> list[Any]:
        generator = worker.watch(3)
        return [
            await anext(generator),
            await generator.athrow(samples.BrokenStreamError("thrown")),
            [item async for item in generator],
        ]

    items, noted, _ = twins(samples.make_worker).behave_alike(with_worker(act))
    assert (items, noted) == ([0, -1, []], ["thrown", "closed"])


@pytest.mark.parametrize("error", [KeyError, StopAsyncIteration, GeneratorExit, asyncio.CancelledError])
def test_athrow_that_is_not_caught_comes_back(error: type[BaseException], twins: Pair) -> None:
    async def act(worker: Any) -> Any:
        generator = worker.watch(3)
        await anext(generator)
        return await outcome_of(generator.athrow(error("thrown"))), await outcome_of(anext(generator))

    twins(samples.make_worker).behave_alike(with_worker(act))


def test_aclose_runs_the_asynchronous_cleanup(twins: Pair) -> None:
    async def act(worker: Any) -> Any:
        generator = worker.watch(3)
        await anext(generator)
        return await generator.aclose(), await generator.aclose(), await outcome_of(anext(generator))

    twins(samples.make_worker).behave_alike(with_worker(act))


def test_aclose_of_one_that_goes_on_regardless_raises_the_same_error(twins: Pair) -> None:
    async def act(worker: Any) -> Any:
        generator = worker.watch_stubbornly()
        await anext(generator)
        return await outcome_of(generator.aclose())

    twins(samples.make_worker).behave_alike(with_worker(act))


def test_an_exception_in_the_body_comes_out_after_the_items_before_it(twins: Pair) -> None:
    async def act(worker: Any) -> Any:
        generator = worker.watch_and_fail()
        return await anext(generator), await outcome_of(anext(generator)), await outcome_of(anext(generator))

    twins(samples.make_worker).behave_alike(with_worker(act))


def test_wrong_arguments_of_an_async_generator_function_raise_the_same_type_error(twins: Pair) -> None:
    async def act(worker: Any) -> Any:
        with pytest.raises(TypeError) as caught:
            await anext(worker.watch())
        return str(caught.value)

    twins(samples.make_worker).behave_alike(with_worker(act))


def test_an_early_break_leaves_the_cleanup_to_the_event_loop(twins: Pair, caplog: pytest.LogCaptureFixture) -> None:
    async def act(worker: Any) -> Any:
        first = None
        async for item in worker.watch(3):
            first = item
            break
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return first

    assert twins(samples.make_worker).behave_alike(with_worker(act)) == (0, ["closed"], [])
    assert caplog.records == []


def test_one_that_is_held_until_the_loop_ends_is_closed_without_a_complaint(
    twins: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    held = []

    async def act(worker: Any) -> Any:
        held.append(worker.watch(3))
        return await anext(held[-1])

    assert twins(samples.make_worker).behave_alike(with_worker(act)) == (0, ["closed"], [])
    assert caplog.records == []


def test_one_that_is_dropped_after_its_loop_was_closed_says_nothing(
    twins: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    def act(cls: Any) -> Any:
        worker = cls()
        generator = worker.watch(3)
        loop = asyncio.new_event_loop()
        first = loop.run_until_complete(_next(generator))
        loop.close()
        del generator
        gc.collect()
        return first, worker.done

    pair = twins(samples.make_worker)
    assert pair.look_alike(act) == (0, [])
    assert not trace.get_current_span().get_span_context().is_valid
    assert caplog.records == []


@pytest.mark.filterwarnings("ignore:Exception ignored in")
def test_one_that_no_loop_knows_of_leaves_no_current_span_behind_when_it_is_dropped(twins: Pair) -> None:
    def look(cls: Any) -> bool:
        generator = cls().watch(3)
        step = anext(generator).__await__()
        for _ in step:
            pass
        del step, generator
        gc.collect()
        return trace.get_current_span().get_span_context().is_valid

    assert twins(samples.make_worker).look_alike(look) is False


def test_one_that_is_closed_in_another_context_says_nothing(twins: Pair, caplog: pytest.LogCaptureFixture) -> None:
    async def act(worker: Any) -> Any:
        generator = worker.watch(3)
        await asyncio.create_task(_next(generator), context=contextvars.Context())
        await asyncio.create_task(_close(generator), context=contextvars.Context())

    twins(samples.make_worker).behave_alike(with_worker(act))
    assert caplog.records == []


async def _next(generator: Any) -> Any:
    return await anext(generator)


async def _close(generator: Any) -> None:
    await generator.aclose()


def test_the_event_loop_knows_of_the_same_number_of_generators(twins: Pair) -> None:
    async def act(worker: Any) -> int:
        generator = worker.watch(3)
        await anext(generator)
        known = len(asyncio.get_running_loop()._asyncgens)  # type: ignore[attr-defined]  # where the loop keeps them
        await generator.aclose()
        return known

    assert twins(samples.make_worker).behave_alike(with_worker(act))[0] == 1


def test_a_cancellation_while_an_item_is_awaited_reaches_the_body(twins: Pair) -> None:
    async def act(worker: Any) -> Any:
        generator = worker.watch_slowly()
        await anext(generator)
        task = asyncio.create_task(_next(generator))
        await asyncio.sleep(0)
        task.cancel()
        return await outcome_of(task), await outcome_of(anext(generator))

    twins(samples.make_worker).behave_alike(with_worker(act))


def test_a_timeout_while_an_item_is_awaited_reaches_the_body(twins: Pair) -> None:
    async def act(worker: Any) -> Any:
        try:
            async with asyncio.timeout(0.01):
                async for _ in worker.watch_slowly():
                    pass
        except TimeoutError:
            return "timed out"

    assert twins(samples.make_worker).behave_alike(with_worker(act))[0] == "timed out"


def test_two_consumers_at_once_get_the_same_error(twins: Pair) -> None:
    async def act(worker: Any) -> Any:
        generator = worker.watch_slowly()
        await anext(generator)
        first = asyncio.create_task(_next(generator))
        await asyncio.sleep(0)
        second = await outcome_of(anext(generator))
        first.cancel()
        await asyncio.wait([first])
        return second

    twins(samples.make_worker).behave_alike(with_worker(act))


def test_an_async_generator_object_has_the_same_name_and_type(twins: Pair) -> None:
    def look(cls: Any) -> Any:
        generator = cls().watch(3)
        return type(generator), generator.__name__, generator.__qualname__, generator.ag_code.co_name

    twins(samples.make_worker).look_alike(look)


def test_aclosing_and_async_context_managers_work(twins: Pair) -> None:
    async def act(worker: Any) -> Any:
        async with contextlib.aclosing(worker.watch(3)) as generator:
            first = await anext(generator)
        async with contextlib.asynccontextmanager(worker.watch)(1) as second:
            return first, second

    twins(samples.make_worker).behave_alike(with_worker(act))


def test_the_span_is_current_in_the_body_and_not_in_the_consumer(twins: Pair, process: Process) -> None:
    def make() -> Any:
        class Worker:
            async def watch(self) -> Any:
                for _ in range(3):
                    await asyncio.sleep(0)
                    yield trace.get_current_span()

        return Worker

    async def consume() -> list[int]:
        inside = []
        async for span in twins(make).wrapped().watch():
            inside.append(span.get_span_context().span_id)
            assert not trace.get_current_span().get_span_context().is_valid
        return inside

    seen = asyncio.run(consume())
    assert process.span.context is not None
    assert seen == [process.span.context.span_id] * 3


def test_a_failure_before_the_first_item_is_recorded(twins: Pair, process: Process) -> None:
    async def act(worker: Any) -> Any:
        return await outcome_of(anext(worker.watch(number="not a number")))

    twins(samples.make_worker).behave_alike(with_worker(act))
    assert not process.span.status.is_ok


def test_outcomes_of_a_sync_iteration_attempt_are_the_same(twins: Pair) -> None:
    twins(samples.make_worker).look_alike(lambda cls: outcome(lambda: list(cls().watch(3))))
