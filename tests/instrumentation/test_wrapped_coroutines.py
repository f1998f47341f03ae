"""A wrapped coroutine function awaits, raises and is cancelled as before."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import warnings
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.instrumentation import samples
from tests.instrumentation.twins import Pair, outcome
from tests.telemetry.recording import Process


def running(act: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Any]:
    """The same, run in an event loop of its own."""

    async def run(cls: Any) -> Any:
        return await act(cls)

    return lambda cls: asyncio.run(run(cls))


def test_a_coroutine_returns_its_result(twins: Pair) -> None:
    twins(samples.make_worker).behave_alike(running(lambda cls: cls().process_later("s1")))


def test_a_coroutine_raises_its_exception(twins: Pair) -> None:
    twins(samples.make_worker).behave_alike(
        lambda cls: outcome(lambda: asyncio.run(cls().fail_later("why"))),
    )


def test_wrong_arguments_of_a_coroutine_function_raise_the_same_type_error(twins: Pair) -> None:
    async def call(cls: Any) -> Any:
        return await cls().process_later()

    result = twins(samples.make_worker).behave_alike(lambda cls: outcome(lambda: asyncio.run(call(cls))))
    assert result[1] is TypeError


def test_a_coroutine_object_has_the_same_name_and_type(twins: Pair) -> None:
    def look(cls: Any) -> Any:
        coroutine = cls().process_later("s1")
        try:
            state = inspect.getcoroutinestate(coroutine)
            return type(coroutine), coroutine.__name__, coroutine.__qualname__, state, inspect.isawaitable(coroutine)
        finally:
            coroutine.close()

    twins(samples.make_worker).look_alike(look)


def test_nothing_runs_before_the_coroutine_is_awaited(twins: Pair) -> None:
    def act(cls: Any) -> list[str]:
        worker = cls()
        worker.process_later("s1").close()
        return list(worker.done)

    assert twins(samples.make_worker).look_alike(act) == []


def test_a_coroutine_that_is_never_awaited_warns_once_by_its_own_name(twins: Pair) -> None:
    def look(cls: Any) -> list[str]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            cls().process_later("s1")
            gc.collect()
        return [str(warning.message) for warning in caught]

    assert len(twins(samples.make_worker).look_alike(look)) == 1


def test_awaiting_a_coroutine_twice_raises_the_same_error(twins: Pair) -> None:
    async def act(cls: Any) -> Any:
        coroutine = cls().process_later("s1")
        await coroutine
        try:
            await coroutine
        except RuntimeError as error:
            return str(error)

    twins(samples.make_worker).behave_alike(running(act))


def test_a_cancelled_coroutine_runs_its_cleanup_and_stays_cancelled(twins: Pair) -> None:
    async def act(cls: Any) -> Any:
        worker = cls()
        task = asyncio.create_task(worker.clean_up_when_cancelled())
        await asyncio.sleep(0)
        task.cancel("enough")
        try:
            await task
        except asyncio.CancelledError as error:
            return error.args, task.cancelled(), task.cancelling(), worker.done

    assert twins(samples.make_worker).behave_alike(running(act)) == (("enough",), True, 1, ["cleaned up"])


def test_a_cancelled_coroutine_is_no_failure(twins: Pair, process: Process) -> None:
    async def act(cls: Any) -> bool:
        task = asyncio.create_task(cls().process_later("s1", 60))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert twins(samples.make_worker).behave_alike(running(act))
    assert process.span.status.is_unset


def test_asyncio_timeout_ends_a_coroutine(twins: Pair) -> None:
    async def act(cls: Any) -> Any:
        try:
            async with asyncio.timeout(0.01):
                await cls().process_later("s1", 60)
        except TimeoutError as error:
            return type(error.__cause__)

    assert twins(samples.make_worker).behave_alike(running(act)) is asyncio.CancelledError


def test_wait_for_ends_a_coroutine(twins: Pair) -> None:
    async def act(cls: Any) -> Any:
        try:
            await asyncio.wait_for(cls().process_later("s1", 60), 0.01)
        except TimeoutError:
            return "timed out"

    assert twins(samples.make_worker).behave_alike(running(act)) == "timed out"


def test_a_task_group_cancels_the_siblings_of_a_failure(twins: Pair) -> None:
    async def act(cls: Any) -> Any:
        worker = cls()
        siblings = []

        async def work() -> None:
            async with asyncio.TaskGroup() as group:
                siblings.append(group.create_task(worker.clean_up_when_cancelled()))
                group.create_task(worker.fail_later("why"))

        with pytest.raises(ExceptionGroup) as caught:
            await work()
        return [repr(error) for error in caught.value.exceptions], siblings[0].cancelled(), worker.done

    twins(samples.make_worker).behave_alike(running(act))


def test_gather_keeps_the_order_of_results_and_exceptions(twins: Pair) -> None:
    async def act(cls: Any) -> list[str]:
        worker = cls()
        found = await asyncio.gather(
            worker.process_later("s1"), worker.fail_later("why"), worker.process_later("s2"), return_exceptions=True
        )
        return list(map(repr, found))

    twins(samples.make_worker).behave_alike(running(act))


def test_shield_protects_a_coroutine(twins: Pair) -> None:
    async def act(cls: Any) -> list[Any]:
        worker = cls()
        inner = asyncio.ensure_future(worker.process_later("s1"))
        outer = asyncio.ensure_future(asyncio.shield(inner))
        await asyncio.sleep(0)
        outer.cancel()
        return [await inner, outer.cancelled()]

    twins(samples.make_worker).behave_alike(running(act))


def test_context_variables_set_in_a_coroutine_are_visible_to_its_awaiter(twins: Pair) -> None:
    async def act(cls: Any) -> str:
        await cls().set_tenant_later("acme")
        return samples.TENANT.get()

    assert twins(samples.make_worker).behave_alike(running(act)) == "acme"


def test_a_task_keeps_its_context_variables_to_itself(twins: Pair) -> None:
    async def act(cls: Any) -> str:
        await asyncio.create_task(cls().set_tenant_later("acme"))
        return samples.TENANT.get()

    assert twins(samples.make_worker).behave_alike(running(act)) == "nobody"


def test_a_coroutine_is_driven_by_hand_with_send_and_throw(twins: Pair) -> None:
    def make() -> Any:
        class Pause:
            def __await__(self) -> Any:
                return (yield "paused")

        class Worker:
            async def process(self) -> Any:
                try:
                    return await Pause()
                except KeyError as error:
                    return ["caught", error.args, await Pause()]

        return Worker

    def act(cls: Any) -> list[Any]:
        coroutine = cls().process()
        steps = [coroutine.send(None), coroutine.throw(KeyError("thrown"))]
        with pytest.raises(StopIteration) as end:
            coroutine.send("answer")
        return [*steps, end.value.value]

    expected = ["paused", "paused", ["caught", ("thrown",), "answer"]]
    assert twins(make).behave_alike(act) == expected


def test_a_coroutine_may_let_go_of_an_argument_while_it_runs(twins: Pair) -> None:
    class Payload:
        pass

    def make() -> Any:
        class Worker:
            async def process(self, payload: Any) -> bool:
                gone = weakref.ref(payload)
                del payload
                return gone() is None

        return Worker

    assert twins(make).behave_alike(running(lambda cls: cls().process(Payload())))


def test_closing_a_suspended_coroutine_in_another_context_says_nothing(
    twins: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    def act(cls: Any) -> list[str]:
        worker = cls()
        coroutine = worker.process_later("s1")
        with pytest.raises(RuntimeError, match="no running event loop"):
            contextvars.copy_context().run(worker.process_later("s0", 1).send, None)
        contextvars.copy_context().run(coroutine.send, None)
        coroutine.close()
        return list(worker.done)

    assert twins(samples.make_worker).behave_alike(act) == []
    assert caplog.records == []


def test_generator_based_coroutines_can_still_be_awaited(twins: Pair) -> None:
    async def act(cls: Any) -> Any:
        return await cls().process_old_style("s1")

    assert twins(samples.make_worker).behave_alike(running(act)) == "s1"
