"""A wrapped function does what it did: same arguments, results and exceptions, once each."""

from __future__ import annotations

import contextvars
import functools
import gc
import operator
import sys
import threading
import traceback
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.instrumentation import samples
from tests.instrumentation.twins import Pair, outcome
from tests.telemetry.recording import Process


def test_positional_and_keyword_arguments_arrive_as_they_were_passed(twins: Pair) -> None:
    twins(samples.make_worker).behave_alike(
        lambda cls: [
            cls().process_stream("s1"),
            cls().process_stream("s1", 2, priority=3),
            cls().process_stream(stream_id="s1", attempt=4),
            cls().process_any(1, *[2], self_=3, args=4, kwargs=5, function=6, operation=7),
        ],
    )


def test_the_very_objects_are_passed_and_returned(twins: Pair) -> None:
    def act(cls: Any) -> list[bool]:
        one, other = object(), object()
        (received,), options = cls().process_any(one, other=other)
        return [received is one, options["other"] is other]

    assert twins(samples.make_worker).behave_alike(act) == [True, True]


def test_a_function_is_called_exactly_once(twins: Pair) -> None:
    def act(cls: Any) -> list[str]:
        worker = cls()
        worker.process_stream("s1")
        return list(worker.done)

    assert twins(samples.make_worker).behave_alike(act) == ["s1"]


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda worker: worker.process_stream(), id="too few arguments"),
        pytest.param(lambda worker: worker.process_stream(1, 2, 3), id="too many arguments"),
        pytest.param(lambda worker: worker.process_stream("s1", colour=1), id="an unknown keyword"),
        pytest.param(lambda worker: worker.process_stream("s1", stream_id="s1"), id="an argument twice"),
        pytest.param(lambda worker: worker.process_strictly(stream_id="s", size=1, force=1), id="a positional by name"),
        pytest.param(lambda worker: worker.process_strictly("s1", 1), id="a missing keyword-only one"),
        pytest.param(lambda worker: type(worker).process_stream(), id="no receiver"),
        pytest.param(lambda worker: worker.normalise(), id="a static method without its argument"),
        pytest.param(lambda worker: worker.create(), id="a class method without its argument"),
    ],
)
def test_wrong_arguments_raise_the_same_type_error(call: Callable[[Any], Any], twins: Pair) -> None:
    result = twins(samples.make_worker).behave_alike(lambda cls: outcome(lambda: call(cls())))
    assert result[1] is TypeError


def test_class_methods_get_their_class(twins: Pair) -> None:
    twins(samples.make_worker).behave_alike(
        lambda cls: [cls.create("w2").worker_id, cls().create("w3").worker_id, type(cls.create("w4")) is cls],
    )


def test_static_methods_get_no_receiver(twins: Pair) -> None:
    twins(samples.make_worker).behave_alike(lambda cls: [cls.normalise(" A "), cls().normalise(" B ")])


def test_unbound_calls_work(twins: Pair) -> None:
    twins(samples.make_worker).behave_alike(lambda cls: cls.process_stream(cls(), "s1"))


def test_a_call_through_another_class_works(twins: Pair) -> None:
    class Duck:
        done: list[str]

    def act(cls: Any) -> Any:
        duck = Duck()
        duck.done = []
        return cls.process_stream(duck, "s1")

    twins(samples.make_worker).behave_alike(act)


def test_methodcaller_and_attrgetter_reach_a_method(twins: Pair) -> None:
    twins(samples.make_worker).behave_alike(
        lambda cls: [
            operator.methodcaller("process_stream", "s1", attempt=2)(cls()),
            operator.attrgetter("process_stream")(cls())("s1"),
        ],
    )


def test_partials_of_bound_and_unbound_methods_work(twins: Pair) -> None:
    twins(samples.make_worker).behave_alike(
        lambda cls: [
            functools.partial(cls().process_stream, attempt=3)("s1"),
            functools.partial(cls.process_stream, cls())("s1"),
        ],
    )


def test_an_exception_is_the_same_with_cause_and_notes(twins: Pair) -> None:
    result = twins(samples.make_worker).behave_alike(lambda cls: outcome(lambda: cls().fail_because("why")))
    assert result == ("raised", samples.BrokenStreamError, ("no stream",), ["seen by w1"], KeyError)


def test_an_exception_has_its_context_and_no_other(twins: Pair) -> None:
    def act(cls: Any) -> list[type]:
        with pytest.raises(samples.BrokenStreamError) as caught:
            cls().fail_while_handling()
        chain: list[type] = []
        error: BaseException | None = caught.value
        while error is not None:
            chain.append(type(error))
            error = error.__context__
        return chain

    assert twins(samples.make_worker).behave_alike(act) == [samples.BrokenStreamError, KeyError]


def test_an_exception_raised_while_the_caller_handles_another_keeps_that_as_context(twins: Pair) -> None:
    def act(cls: Any) -> Any:
        try:
            raise LookupError("the caller's")
        except LookupError:
            with pytest.raises(samples.BrokenStreamError) as caught:
                cls().fail("why")
        return type(caught.value.__context__)

    assert twins(samples.make_worker).behave_alike(act) is LookupError


def test_the_very_exception_object_comes_out(twins: Pair) -> None:
    def act(cls: Any) -> bool:
        error = ValueError("this one")
        with pytest.raises(ValueError, match="this one") as caught:
            cls().stop(error)
        return caught.value is error

    assert twins(samples.make_worker).behave_alike(act)


def test_a_traceback_ends_in_the_users_frames(twins: Pair) -> None:
    def act(cls: Any) -> list[tuple[str, str | None]]:
        with pytest.raises(samples.BrokenStreamError) as caught:
            cls().fail("why")
        frames = traceback.extract_tb(caught.value.__traceback__)
        return [(frame.name, frame.line) for frame in frames if frame.filename == samples.__file__]

    assert twins(samples.make_worker).behave_alike(act) == [("fail", "raise BrokenStreamError(reason)")]


def test_an_exception_group_is_split_as_before(twins: Pair) -> None:
    def act(cls: Any) -> list[str]:
        seen = []
        try:
            cls().fail_together()
        except* ValueError as group:
            seen.append(repr(group.exceptions))
        except* samples.BrokenStreamError as group:
            seen.append(repr(group.exceptions))
        return seen

    twins(samples.make_worker).behave_alike(act)


@pytest.mark.parametrize("error", [KeyboardInterrupt("now"), SystemExit(3), GeneratorExit(), StopIteration(4)])
def test_comes_out_of_a_function_as_it_was_raised(error: BaseException, twins: Pair) -> None:
    twins(samples.make_worker).behave_alike(lambda cls: outcome(lambda: cls().stop(error)))


def test_no_exception_is_being_handled_after_a_failed_call(twins: Pair) -> None:
    def act(cls: Any) -> Any:
        outcome(lambda: cls().fail("why"))
        return sys.exc_info()

    assert twins(samples.make_worker).behave_alike(act) == (None, None, None)


def test_a_function_sees_the_exception_that_its_caller_handles(twins: Pair) -> None:
    def act(cls: Any) -> Any:
        try:
            raise LookupError("the caller's")
        except LookupError:
            return repr(cls().caller_error())

    assert twins(samples.make_worker).behave_alike(act) == 'LookupError("the caller\'s")'


def test_arguments_of_a_failed_call_are_freed_without_the_garbage_collector(twins: Pair) -> None:
    class Payload:
        pass

    def act(cls: Any) -> bool:
        payloads = [Payload()]
        gone = weakref.ref(payloads[0])
        outcome(lambda: cls().process_strictly(payloads.pop()))
        return gone() is None

    pair = twins(samples.make_worker)
    gc.disable()
    try:
        assert pair.behave_alike(act)
    finally:
        gc.enable()


def test_recursion_gives_the_same_result_and_a_span_per_call(twins: Pair, process: Process) -> None:
    assert twins(samples.make_worker).behave_alike(lambda cls: cls().count_down(200)) == 200
    assert len([span for span in process.spans if span.name == "Worker.count_down"]) == 201


def test_context_variables_set_inside_are_visible_to_the_caller(twins: Pair) -> None:
    def act(cls: Any) -> str:
        cls().set_tenant("acme")
        return samples.TENANT.get()

    pair = twins(samples.make_worker)
    assert pair.behave_alike(lambda cls: contextvars.copy_context().run(act, cls)) == "acme"


def test_methods_run_in_the_thread_that_calls_them(twins: Pair) -> None:
    def act(cls: Any) -> list[str]:
        seen: list[str] = []
        thread = threading.Thread(target=lambda: seen.append(cls().set_tenant("acme")), name="caller")
        thread.start()
        thread.join()
        return seen

    assert twins(samples.make_worker).behave_alike(act) == ["caller"]


def test_many_threads_call_one_method_at_once(twins: Pair) -> None:
    def act(cls: Any) -> list[Any]:
        worker = cls()
        with ThreadPoolExecutor(8) as pool:
            return sorted(pool.map(worker.process_stream, [f"s{number:03d}" for number in range(200)]))

    assert len(twins(samples.make_worker).behave_alike(act)) == 200


def test_call_and_private_methods_are_left_alone(twins: Pair) -> None:
    pair = twins(samples.make_worker)
    for name in ("__call__", "__init__", "__eq__"):
        assert not hasattr(vars(pair.wrapped)[name], "__wrapped__")
    assert pair.wrapped()("s1") == pair.plain()("s1")


def test_a_decorator_of_the_users_still_decorates(twins: Pair) -> None:
    pair = twins(samples.make_decorated)
    assert pair.behave_alike(lambda cls: cls().process("s1")) == ["retried", "s1"]


def test_a_lambda_in_a_class_still_works(twins: Pair) -> None:
    twins(samples.make_decorated).behave_alike(lambda cls: [cls().process_quickly("s1"), cls.process_quickly.__name__])


def test_a_user_may_wrap_a_wrapped_function_with_functools_wraps(twins: Pair) -> None:
    def act(cls: Any) -> list[Any]:
        @functools.wraps(cls.process_stream)
        def louder(*args: Any, **kwargs: Any) -> Any:
            return ["louder", cls.process_stream(*args, **kwargs)]

        return [louder(cls(), "s1"), louder.__name__, louder.retries]  # type: ignore[attr-defined]  # copied

    twins(samples.make_worker).behave_alike(act)
