"""Inherited methods are recorded for the named classes alone, overridden ones once per call."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from otel_monitor.instrumentation.operation import Side
from otel_monitor.instrumentation.patching import patches
from tests.instrumentation.twins import instrument, is_wrapped
from tests.telemetry.recording import Process


def names(process: Process) -> Counter[str]:
    return Counter(span.name for span in process.spans)


class Family:
    """A base, two siblings, a grandchild: made anew for each test."""

    def __init__(self) -> None:
        class Base:
            def process(self, stream_id: str) -> list[str]:
                return ["base"]

            def report(self) -> list[str]:
                return ["report"]

            @classmethod
            def create(cls) -> Any:
                return cls()

            @staticmethod
            def normalise(name: str) -> str:
                return name

        class Worker(Base):
            def process(self, stream_id: str) -> list[str]:
                return ["worker", *super().process(stream_id)]

        class Sibling(Base):
            pass

        class Special(Worker):
            def process(self, stream_id: str) -> list[str]:
                return ["special", *super().process(stream_id)]

        self.Base, self.Worker, self.Sibling, self.Special = Base, Worker, Sibling, Special


@pytest.fixture
def family() -> Any:
    return Family()


def test_an_inherited_method_is_wrapped_where_it_is_defined(process: Process, family: Any) -> None:
    instrument(family.Worker)
    assert is_wrapped(family.Base, "report")
    assert "report" not in vars(family.Worker)


def test_an_inherited_method_is_recorded_for_the_named_class_and_its_subclasses_alone(
    process: Process, family: Any
) -> None:
    instrument(family.Worker)
    for cls in (family.Worker, family.Special, family.Base, family.Sibling):
        assert cls().report() == ["report"]
    assert names(process) == {"Worker.report": 2}


def test_an_inherited_class_method_is_recorded_for_the_named_class_alone(process: Process, family: Any) -> None:
    instrument(family.Worker)
    for cls in (family.Worker, family.Special, family.Base, family.Sibling):
        assert type(cls.create()) is cls
    assert names(process) == {"Worker.create": 2}


def test_an_inherited_static_method_is_left_alone_since_nothing_says_whose_call_it_is(
    process: Process, family: Any
) -> None:
    instrument(family.Worker)
    assert not is_wrapped(family.Base, "normalise")


def test_each_named_class_gives_an_inherited_method_its_own_side(process: Process, family: Any) -> None:
    instrument(family.Worker, Side.WORKER)
    instrument(family.Sibling, Side.ORCHESTRATOR)
    family.Worker().process("s1")
    family.Sibling().process("s1")
    family.Base().process("s1")
    assert names(process) == {"process stream": 1, "Sibling.process": 1}


def test_an_overridden_method_is_one_span_per_call(process: Process, family: Any) -> None:
    for cls in (family.Base, family.Worker, family.Special):
        instrument(cls)
    assert family.Special().process("s1") == ["special", "worker", "base"]
    assert names(process) == {"process stream": 1}
    assert family.Base().process("s1") == ["base"]
    assert names(process) == {"process stream": 2}


def test_the_order_in_which_classes_are_named_does_not_matter(process: Process, family: Any) -> None:
    for cls in (family.Special, family.Base, family.Worker):
        instrument(cls)
    family.Special().process("s1")
    family.Worker().process("s1")
    assert names(process) == {"process stream": 2}


def test_a_method_named_directly_after_it_was_inherited_is_recorded_for_all(process: Process, family: Any) -> None:
    instrument(family.Worker)
    instrument(family.Base)
    for cls in (family.Worker, family.Base, family.Sibling):
        cls().report()
    assert names(process) == {"Base.report": 3}


def test_true_recursion_is_a_span_per_call(process: Process) -> None:
    class Base:
        def process(self, depth: int) -> int:
            return self.process(depth - 1) + 1 if depth else 0

    class Worker(Base):
        def process(self, depth: int) -> int:
            return super().process(depth)

    instrument(Base)
    instrument(Worker)
    assert Worker().process(3) == 3
    assert len(process.spans) == 4


def test_the_same_method_of_another_instance_is_a_call_of_its_own(process: Process) -> None:
    class Base:
        def process(self, others: list[Any]) -> None:
            for other in others:
                other.process([])

    class Worker(Base):
        def process(self, others: list[Any]) -> None:
            super().process(others)

    instrument(Base)
    instrument(Worker)
    Worker().process([Base(), Worker()])
    assert len(process.spans) == 3


def test_a_mixin_that_calls_super_is_one_span_per_call(process: Process) -> None:
    class Base:
        def process(self) -> list[str]:
            return ["base"]

    class Mixin:
        def process(self) -> list[str]:
            return ["mixin", *super().process()]  # type: ignore[misc]  # of the class it is mixed into

    class Worker(Mixin, Base):
        def process(self) -> list[str]:
            return ["worker", *super().process()]

    for cls in (Base, Mixin, Worker):
        instrument(cls)
    assert Worker().process() == ["worker", "mixin", "base"]
    assert len(process.spans) == 1


def test_class_methods_through_super_are_one_span_per_call(process: Process) -> None:
    class Base:
        @classmethod
        def create(cls) -> list[str]:
            return ["base"]

    class Worker(Base):
        @classmethod
        def create(cls) -> list[str]:
            return ["worker", *super().create()]

    instrument(Base)
    instrument(Worker)
    assert Worker.create() == ["worker", "base"]
    assert len(process.spans) == 1


class Kinds:
    """Overridden methods of every kind of function, on both levels."""

    def __init__(self) -> None:
        class Base:
            async def process(self) -> list[str]:
                await asyncio.sleep(0)
                return ["base"]

            def read(self) -> Any:
                yield "base"

            async def watch(self) -> Any:
                await asyncio.sleep(0)
                yield "base"

        class Worker(Base):
            async def process(self) -> list[str]:
                return ["worker", *await super().process()]

            def read(self) -> Any:
                yield "worker"
                yield from super().read()

            async def watch(self) -> Any:
                yield "worker"
                async for item in super().watch():
                    yield item

        self.Worker = instrument(Worker)
        instrument(Base)


def test_coroutines_through_super_are_one_span_per_call(process: Process) -> None:
    worker = Kinds().Worker()

    async def main() -> list[list[str]]:
        return list(await asyncio.gather(worker.process(), worker.process()))

    assert asyncio.run(main()) == [["worker", "base"]] * 2
    assert len(process.spans) == 2


def test_generators_through_super_are_one_span_per_call(process: Process) -> None:
    worker = Kinds().Worker()
    assert list(worker.read()) == ["worker", "base"]
    assert len(process.spans) == 1


def test_async_generators_through_super_are_one_span_per_call(process: Process) -> None:
    worker = Kinds().Worker()

    async def main() -> list[str]:
        return [item async for item in worker.watch()]

    assert asyncio.run(main()) == ["worker", "base"]
    assert len(process.spans) == 1


def test_a_call_between_two_items_of_a_generator_is_not_a_level_of_it(process: Process) -> None:
    class Base:
        def read(self) -> Any:
            yield "base"

    class Worker(Base):
        def read(self) -> Any:
            yield "worker"

    instrument(Base)
    instrument(Worker)
    worker = Worker()
    for _ in worker.read():
        assert list(Base.read(worker)) == ["base"]
    assert len(process.spans) == 2


def test_a_task_that_outlives_the_call_in_which_it_began_is_a_call_of_its_own(process: Process) -> None:
    class Base:
        async def process(self) -> None:
            await asyncio.sleep(0)

    class Worker(Base):
        async def process(self) -> None:
            self.task = asyncio.create_task(self.later(super().process))

        async def later(self, process: Any) -> None:
            await asyncio.sleep(0)
            await process()

    async def main() -> None:
        worker = Worker()
        await worker.process()
        await worker.task

    instrument(Base)
    instrument(Worker)
    asyncio.run(main())
    assert names(process) == {"process task": 2, "Worker.later": 1}


def test_another_threads_call_is_not_a_level_of_this_ones(process: Process) -> None:
    class Base:
        def process(self) -> None: ...

    class Worker(Base):
        def process(self) -> None:
            thread = threading.Thread(target=super().process)
            thread.start()
            thread.join()

    instrument(Base)
    instrument(Worker)
    Worker().process()
    assert len(process.spans) == 2


def test_a_level_that_fails_leaves_the_next_call_alone(process: Process) -> None:
    class Base:
        def process(self) -> None:
            raise KeyError("base")

    class Worker(Base):
        def process(self) -> None:
            super().process()

    instrument(Base)
    instrument(Worker)
    for _ in range(2):
        with contextlib.suppress(KeyError):
            Worker().process()
        with contextlib.suppress(KeyError):
            Base().process()
    assert len(process.spans) == 4


def test_base_classes_of_libraries_are_left_alone(process: Process) -> None:
    class Worker(threading.Thread):
        def process(self) -> None: ...

    before = dict(vars(threading.Thread))
    instrument(Worker)
    assert dict(vars(threading.Thread)) == before
    assert is_wrapped(Worker, "process")


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], Any]]:
    """Writes a module into a folder of the user's, or of installed packages, and imports it."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "site-packages")
    before = set(sys.modules)

    def write(path: str, source: str) -> Any:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source)
        name = path.removesuffix(".py").removeprefix("site-packages/").replace("/", ".")
        return importlib.import_module(name)

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


BASE = "class Base:\n    def report(self): return 'report'\n"


@pytest.mark.parametrize(
    ("base", "worker", "is_users"),
    [
        ("shop/base.py", "shop/worker.py", True),
        ("flat_base.py", "flat_worker.py", True),
        ("library/base.py", "flat_worker.py", True),
        ("library/base.py", "shop/worker.py", False),
        ("site-packages/library_base.py", "flat_worker.py", False),
        ("site-packages/library_base.py", "shop/worker.py", False),
        ("site-packages/shop/base.py", "site-packages/shop/worker.py", True),
    ],
)
def test_a_base_class_is_the_users_when_it_belongs_to_the_same_program(
    base: str, worker: str, is_users: bool, modules: Any, process: Process
) -> None:
    module = modules(base, BASE)
    named = modules(worker, f"from {module.__name__} import Base\nclass Worker(Base): ...\n")
    instrument(named.Worker)
    assert is_wrapped(module.Base, "report") == is_users
    assert named.Worker().report() == "report"


def test_base_classes_are_restored_too(process: Process, family: Any) -> None:
    before = {cls: dict(vars(cls)) for cls in (family.Base, family.Worker, family.Special)}
    for cls in (family.Special, family.Worker, family.Base):
        instrument(cls)
    patches.restore()
    for cls, entries in before.items():
        assert all(vars(cls)[name] is value for name, value in entries.items())
