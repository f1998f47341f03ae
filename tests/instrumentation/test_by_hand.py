"""Instrumenting by hand: one call, and decorators."""

from __future__ import annotations

import asyncio
import inspect
import pickle
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from opentelemetry.trace import SpanKind

import otel_monitor
from otel_monitor import startup
from otel_monitor.errors import ConfigurationError, InstrumentationError
from otel_monitor.instrumentation import recorder
from otel_monitor.instrumentation.instrumentor import OtelMonitorInstrumentor
from tests.instrumentation import samples
from tests.instrumentation.twins import is_wrapped
from tests.telemetry.recording import Process, start_process


@pytest.fixture
def started() -> Iterator[None]:
    """Whatever a test has started by hand is stopped again."""
    yield
    otel_monitor.uninstrument()
    startup.stop()


@pytest.fixture
def fleet() -> Iterator[ModuleType]:
    """A module of the user's that is imported already."""
    module = ModuleType("fleet")
    vars(module).update(Worker=samples.make_worker(), Family=samples.make_family(), place=lambda: None)
    for cls in (module.Worker, module.Family):
        cls.__module__ = "fleet"
    sys.modules["fleet"] = module
    yield module
    del sys.modules["fleet"]


@otel_monitor.operation
def process_order(order_id: str) -> str:
    """At module level, so that it can be pickled."""
    return order_id


@pytest.mark.usefixtures("started")
def test_classes_and_names_of_classes_are_instrumented_in_one_call(fleet: Any) -> None:
    cls = samples.make_worker()
    otel_monitor.instrument(workers=[cls, "fleet:Worker"], orchestrators=["fleet:Family"])
    assert all(is_wrapped(*one) for one in [(cls, "read"), (fleet.Worker, "read"), (fleet.Family, "process")])


@pytest.mark.usefixtures("started")
def test_a_second_call_adds_to_the_first(fleet: Any) -> None:
    otel_monitor.instrument(workers=["fleet:Worker"])
    otel_monitor.instrument(orchestrators=["fleet:*"])
    assert is_wrapped(fleet.Family, "process")


@pytest.mark.usefixtures("started")
def test_operations_say_what_methods_are(fleet: Any) -> None:
    otel_monitor.instrument(workers=["fleet:Worker"], operations={"fleet:Worker.read": {"role": "ignore"}})
    assert not is_wrapped(fleet.Worker, "read")
    assert is_wrapped(fleet.Worker, "watch")


@pytest.mark.usefixtures("started")
def test_uninstrument_gives_everything_back_and_records_nothing_more(fleet: Any) -> None:
    before = dict(vars(fleet.Worker))
    otel_monitor.instrument(workers=["fleet:Worker"])
    wrapped = fleet.Worker.process_stream
    otel_monitor.uninstrument()
    assert all(vars(fleet.Worker)[name] is value for name, value in before.items())
    assert wrapped(fleet.Worker(), "s1") == ("s1", 1, 0)
    assert recorder.begin(None, (), {}) is None  # type: ignore[arg-type]  # nothing records


@pytest.mark.usefixtures("started")
def test_instrumenting_again_after_uninstrument_works(fleet: Any) -> None:
    for _ in range(2):
        otel_monitor.instrument(workers=["fleet:Worker"])
        assert is_wrapped(fleet.Worker, "read")
        otel_monitor.uninstrument()
        assert not is_wrapped(fleet.Worker, "read")


def test_uninstrument_without_instrument_does_nothing() -> None:
    otel_monitor.uninstrument()


@pytest.mark.usefixtures("started")
def test_the_instrumentor_takes_the_same_arguments_as_the_call(fleet: Any) -> None:
    OtelMonitorInstrumentor().instrument(workers=["fleet:Worker"], skip_dep_check=True)
    assert is_wrapped(fleet.Worker, "read")
    OtelMonitorInstrumentor().uninstrument()
    assert not is_wrapped(fleet.Worker, "read")
    assert OtelMonitorInstrumentor().instrumentation_dependencies() == ()


@pytest.mark.usefixtures("started")
@pytest.mark.parametrize("switch", [("OTEL_MONITOR_ENABLED", "false"), ("OTEL_SDK_DISABLED", "true")], ids=str)
def test_nothing_happens_where_the_environment_says_no(
    switch: tuple[str, str], fleet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(*switch)
    before = dict(vars(fleet.Worker))
    otel_monitor.instrument(workers=["fleet:Worker", "no such name"])
    otel_monitor.instrument(workers=["fleet:Worker"])
    assert dict(vars(fleet.Worker)) == before


@pytest.mark.usefixtures("started")
@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("fleet:Wroker", "fleet:Wroker: fleet has no class Wroker (did you mean 'Worker'?)"),
        ("fleet:place", "fleet:place: fleet.place is a function; mark it with @otel_monitor.operation"),
        (
            "fleet.Worker",
            "'fleet.Worker' is not package.module:Class or package.module:* (did you mean 'fleet:Worker'?)",
        ),
        (7, "7 is neither a class nor a text like 'package.module:Class'"),
    ],
)
def test_what_cannot_be_instrumented_is_refused_with_the_nearest_match(named: Any, message: str, fleet: Any) -> None:
    before = dict(vars(fleet.Worker))
    with pytest.raises(InstrumentationError) as caught:
        otel_monitor.instrument(workers=["fleet:Worker", named])
    assert str(caught.value) == message
    assert dict(vars(fleet.Worker)) == before


@pytest.mark.usefixtures("started")
def test_wrong_operations_are_refused_all_at_once(fleet: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        otel_monitor.instrument(operations={"fleet.Worker.read": {}, "fleet:Worker.read": {"role": "reed"}})
    assert len(caught.value.problems) == 2


@pytest.mark.usefixtures("started")
def test_a_module_that_is_not_imported_yet_is_waited_for() -> None:
    otel_monitor.instrument(workers=["not_imported_yet:Worker"])
    assert "not_imported_yet" not in sys.modules


@pytest.mark.usefixtures("started")
def test_class_decorators_mark_and_instrument_wraps() -> None:
    worker, scheduler = samples.make_worker(), samples.make_family()
    before = dict(vars(worker))
    assert otel_monitor.worker(worker) is worker
    assert dict(vars(worker)) == before
    otel_monitor.instrument()
    assert is_wrapped(worker, "read")
    assert otel_monitor.orchestrator(scheduler) is scheduler
    assert is_wrapped(scheduler, "process")
    otel_monitor.uninstrument()
    assert not is_wrapped(worker, "read")
    otel_monitor.instrument()
    assert is_wrapped(worker, "read")


def test_class_decorators_refuse_what_is_no_class() -> None:
    with pytest.raises(InstrumentationError, match=r"mark a function with @otel_monitor\.operation"):
        otel_monitor.worker(process_order)  # type: ignore[type-var]  # that is what is tested


def test_a_marked_function_is_recorded_by_the_role_of_its_name(process: Process) -> None:
    assert process_order("o1") == "o1"
    assert (process.span.name, process.span.kind) == ("process order", SpanKind.CONSUMER)


def test_a_marked_function_without_a_recorder_is_just_called() -> None:
    assert process_order("o1") == "o1"


def test_a_marked_function_is_pickled_as_itself() -> None:
    assert pickle.loads(pickle.dumps(process_order)) is process_order
    assert inspect.signature(process_order) == inspect.signature(inspect.unwrap(process_order))


def test_a_mark_may_say_role_worker_task_and_id(process: Process) -> None:
    @otel_monitor.operation(role="assign", worker="target", task="order.kind", task_id="order.id")
    def place(order: dict[str, str], target: str) -> str:
        return target

    place({"kind": "express", "id": "o1"}, "w1")
    assert process.span.name == "assign express"
    expected = {"orchestrator.worker.id": "w1", "orchestrator.task.id": "o1"}
    assert expected.items() <= dict(process.span.attributes or {}).items()


def test_a_function_without_a_role_is_named_by_its_qualified_name(process: Process) -> None:
    @otel_monitor.operation()
    def refresh() -> None: ...

    refresh()
    assert process.span.name == "refresh"


@pytest.mark.parametrize(
    ("side", "kind"), [(None, SpanKind.SERVER), ("worker", SpanKind.CLIENT), ("orchestrator", SpanKind.SERVER)]
)
def test_a_side_may_be_said_and_is_otherwise_told_by_the_arguments(side: Any, kind: SpanKind, process: Process) -> None:
    @otel_monitor.operation(side=side)
    def register(worker_id: str) -> None: ...

    register("w1")
    assert process.span.kind is kind


def test_every_kind_of_function_can_be_marked(process: Process) -> None:
    class Worker:
        @otel_monitor.operation
        def process_one(self) -> str:
            return "one"

        @otel_monitor.operation
        @classmethod
        def process_two(cls) -> str:
            return "two"

        @staticmethod
        @otel_monitor.operation
        def process_three() -> str:
            return "three"

        @otel_monitor.operation
        async def process_four(self) -> str:
            return "four"

        @otel_monitor.operation
        def process_five(self) -> Any:
            yield "five"

        @otel_monitor.operation
        async def process_six(self) -> Any:
            yield "six"

        @otel_monitor.operation(role="ignore")
        def process_seven(self) -> str:
            return "seven"

    async def main() -> list[Any]:
        return [await worker.process_four(), *[item async for item in worker.process_six()]]

    worker = Worker()
    seen = [worker.process_one(), worker.process_two(), worker.process_three(), *asyncio.run(main())]
    assert [*seen, *worker.process_five(), worker.process_seven()] == [
        *("one", "two", "three", "four", "six", "five", "seven")
    ]
    assert sorted(span.name for span in process.spans) == [
        f"process {number}" for number in ("five", "four", "one", "six", "three", "two")
    ]


def test_a_mark_beats_the_role_that_its_class_would_give_it(process: Process) -> None:
    from tests.instrumentation.twins import instrument

    class Worker:
        @otel_monitor.operation(role="operation")
        def process_stream(self, stream_id: str) -> None: ...

    instrument(Worker)().process_stream("s1")
    assert [span.name.rpartition(".")[2] for span in process.spans] == ["process_stream"]


@pytest.mark.parametrize(
    ("marked", "hint"),
    [(samples.make_worker(), r"@otel_monitor\.orchestrator or @otel_monitor\.worker"), (len, "a plain function")],
    ids=["a class", "a builtin"],
)
def test_what_is_no_plain_function_cannot_be_marked(marked: Any, hint: str) -> None:
    with pytest.raises(InstrumentationError, match=hint):
        otel_monitor.operation(marked)


def test_everything_wrong_with_a_mark_is_said_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        otel_monitor.operation(role="asign", side="server", worker="no path!")(lambda: None)
    assert [problem.path.rpartition(".")[2] for problem in caught.value.problems] == ["role", "worker", "side"]
    with pytest.raises(ConfigurationError, match=r"has no argument 'targte' \(did you mean 'target'\?\)"):
        otel_monitor.operation(worker="targte")(lambda target: None)


def test_public_names_are_sorted_lazy_and_complete() -> None:
    assert otel_monitor.__all__ == sorted(otel_monitor.__all__)
    assert all(getattr(otel_monitor, name) is not None for name in otel_monitor.__all__)
    assert set(otel_monitor.__all__) <= set(dir(otel_monitor))
    with pytest.raises(AttributeError, match="has no attribute 'instrumnet'"):
        _ = otel_monitor.instrumnet


def test_recording_can_start_after_marking() -> None:
    process = start_process()
    process_order("o2")
    recorder.uninstall()
    assert process.span.name == "process order"
