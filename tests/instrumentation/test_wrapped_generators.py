"""A wrapped generator takes, gives, returns and closes as before, and its span is current in its body alone."""

from __future__ import annotations

import contextlib
import gc
import inspect
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace

from tests.instrumentation import samples
from tests.instrumentation.twins import Pair, outcome
from tests.telemetry.recording import Process


def with_worker(act: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """What `act` returns, and what the worker has noted."""

    def run(cls: Any) -> Any:
        worker = cls()
        return act(worker), worker.done

    return run


def test_a_generator_yields_its_items(twins: Pair) -> None:
    twins(samples.make_worker).behave_alike(with_worker(lambda worker: list(worker.read(3))))


def test_nothing_runs_before_the_first_item_is_asked_for(twins: Pair) -> None:
    def act(worker: Any) -> str:
        return inspect.getgeneratorstate(worker.read(3))

    assert twins(samples.make_worker).look_alike(with_worker(act)) == (inspect.GEN_CREATED, [])


def test_a_generator_returns_its_value(twins: Pair) -> None:
    def act(worker: Any) -> Any:
        generator = worker.read(0)
        with pytest.raises(StopIteration) as end:
            next(generator)
        return end.value.value

    assert twins(samples.make_worker).behave_alike(with_worker(act)) == ("end", ["closed"])


def test_sent_values_arrive(twins: Pair) -> None:
    def act(worker: Any) -> list[Any]:
        generator = worker.read(3)
        return [next(generator), generator.send("a"), generator.send("b")]

    twins(samples.make_worker).behave_alike(with_worker(act))


def test_sending_to_a_generator_that_has_not_begun_raises_the_same_error(twins: Pair) -> None:
    twins(samples.make_worker).look_alike(with_worker(lambda worker: outcome(lambda: worker.read(3).send("early"))))


def test_a_thrown_exception_that_is_caught_goes_on(twins: Pair) -> None:
    def act(worker: Any) -> list[Any]:
        generator = worker.read(3)
        return [next(generator), generator.throw(samples.BrokenStreamError("thrown")), list(generator)]

    assert twins(samples.make_worker).behave_alike(with_worker(act)) == ([0, -1, []], ["thrown", "closed"])


def test_a_thrown_exception_that_is_not_caught_comes_back_as_the_same_object(twins: Pair) -> None:
    def act(worker: Any) -> Any:
        generator = worker.read(3)
        next(generator)
        error = KeyError("thrown")
        with pytest.raises(KeyError) as caught:
            generator.throw(error)
        return caught.value is error, outcome(lambda: next(generator))

    twins(samples.make_worker).behave_alike(with_worker(act))


def test_a_caught_exception_is_no_longer_handled_when_the_generator_goes_on(twins: Pair) -> None:
    def act(worker: Any) -> Any:
        generator = worker.read_errors()
        next(generator)
        return generator.throw(samples.BrokenStreamError("thrown"))

    assert twins(samples.make_worker).behave_alike(with_worker(act)) == (None, [])


@pytest.mark.parametrize("error", [StopIteration("thrown"), KeyboardInterrupt("thrown"), GeneratorExit("thrown")])
def test_any_exception_can_be_thrown_in(error: BaseException, twins: Pair) -> None:
    def act(worker: Any) -> Any:
        generator = worker.read(3)
        next(generator)
        return outcome(lambda: generator.throw(type(error)(*error.args)))

    twins(samples.make_worker).behave_alike(with_worker(act))


def test_close_runs_the_cleanup(twins: Pair) -> None:
    def act(worker: Any) -> Any:
        generator = worker.read(3)
        next(generator)
        generator.close()
        return inspect.getgeneratorstate(generator), outcome(generator.close)

    twins(samples.make_worker).behave_alike(with_worker(act))


def test_close_of_a_generator_that_goes_on_regardless_raises_the_same_error(twins: Pair) -> None:
    def act(worker: Any) -> Any:
        generator = worker.read_stubbornly()
        next(generator)
        return outcome(generator.close)[1]

    assert twins(samples.make_worker).behave_alike(with_worker(act))[0] is RuntimeError


def test_a_thrown_generator_exit_may_be_answered_with_an_item(twins: Pair) -> None:
    def act(worker: Any) -> Any:
        generator = worker.read_stubbornly()
        return next(generator), generator.throw(GeneratorExit), outcome(lambda: generator.throw(KeyError))

    assert twins(samples.make_worker).behave_alike(with_worker(act))[0][:2] == (1, 2)


def test_a_generator_that_nobody_holds_any_more_is_closed_at_once(twins: Pair) -> None:
    def act(worker: Any) -> Any:
        for item in worker.read(3):
            return item
        return None

    assert twins(samples.make_worker).behave_alike(with_worker(act)) == (0, ["closed"])


def test_an_exception_in_the_body_comes_out_after_the_items_before_it(twins: Pair) -> None:
    def act(worker: Any) -> Any:
        generator = worker.read_and_fail()
        return next(generator), outcome(lambda: next(generator)), outcome(lambda: next(generator))

    twins(samples.make_worker).behave_alike(with_worker(act))


def test_yield_from_delegates_and_takes_the_return_values(twins: Pair) -> None:
    def act(worker: Any) -> Any:
        generator = worker.read_all()
        items = [next(generator), generator.send("a")]
        with pytest.raises(StopIteration) as end:
            generator.send("b")
        return items, end.value.value

    assert twins(samples.make_worker).behave_alike(with_worker(act))[0] == ([0, 0], "endend")


def test_a_generator_that_asks_itself_for_an_item_raises_the_same_error(twins: Pair) -> None:
    def make() -> Any:
        class Worker:
            def __init__(self) -> None:
                self.done: list[Any] = []
                self.generator: Any = None

            def read(self) -> Any:
                yield outcome(lambda: next(self.generator))

        return Worker

    def act(worker: Any) -> Any:
        worker.generator = worker.read()
        return list(worker.generator)

    twins(make).behave_alike(with_worker(act))


def test_a_generator_object_has_the_same_name_and_type(twins: Pair) -> None:
    def look(cls: Any) -> Any:
        generator = cls().read(3)
        return type(generator), generator.__name__, generator.__qualname__, generator.gi_code.co_name

    twins(samples.make_worker).look_alike(look)


def test_a_method_that_makes_a_context_manager_still_does(twins: Pair) -> None:
    def make() -> Any:
        class Worker:
            def __init__(self) -> None:
                self.done: list[Any] = []

            @contextlib.contextmanager
            def session(self) -> Any:
                yield from self.run_session()

            def run_session(self) -> Any:
                try:
                    yield "session"
                except KeyError as error:
                    self.done.append(repr(error))
                finally:
                    self.done.append("closed")

        return Worker

    def act(worker: Any) -> list[str]:
        sessions: list[str] = []
        with worker.session() as session:
            sessions.append(session)
            dict[str, str]()[session]
        return sessions

    assert twins(make).behave_alike(with_worker(act)) == (["session"], ["KeyError('session')", "closed"])


def test_a_thrown_exception_is_freed_without_the_garbage_collector(twins: Pair) -> None:
    class UnexpectedError(Exception):
        pass

    def act(worker: Any) -> bool:
        generator = worker.read(3)
        next(generator)
        errors = [UnexpectedError("thrown")]
        gone = weakref.ref(errors[0])
        outcome(lambda: generator.throw(errors.pop()))
        return gone() is None

    pair = twins(samples.make_worker)
    gc.disable()
    try:
        assert pair.behave_alike(with_worker(act))[0]
    finally:
        gc.enable()


def test_the_span_is_current_in_the_body_and_not_in_the_consumer(twins: Pair, process: Process) -> None:
    def make() -> Any:
        class Worker:
            def read(self) -> Any:
                for _ in range(3):
                    yield trace.get_current_span()

        return Worker

    worker = twins(make).wrapped()
    inside = []
    for span in worker.read():
        inside.append(span.get_span_context().span_id)
        assert not trace.get_current_span().get_span_context().is_valid
    assert process.span.context is not None
    assert inside == [process.span.context.span_id] * 3


def test_one_span_lasts_from_the_first_item_to_the_end(twins: Pair, process: Process) -> None:
    generator = twins(samples.make_worker).wrapped().read(2)
    assert next(generator) == 0
    assert process.spans == ()
    assert list(generator) == [1]
    assert process.span.name == "Worker.read"


def test_a_generator_that_is_closed_early_is_no_failure(twins: Pair, process: Process) -> None:
    generator = twins(samples.make_worker).wrapped().read(2)
    next(generator)
    generator.close()
    assert process.span.status.is_unset


def test_two_generators_that_take_turns_do_not_mix_their_spans(twins: Pair, process: Process) -> None:
    def make() -> Any:
        class Worker:
            def read(self, name: str) -> Any:
                for _ in range(2):
                    yield name, trace.get_current_span().get_span_context().span_id

        return Worker

    worker = twins(make).wrapped()
    seen = [item for pair in zip(worker.read("a"), worker.read("b"), strict=True) for item in pair]
    assert len(set(seen)) == 2
    assert len(process.spans) == 2
