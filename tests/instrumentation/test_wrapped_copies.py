"""What is wrapped can be pickled, copied and referred to weakly as before."""

from __future__ import annotations

import copy
import gc
import importlib.util
import pickle
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle  # type: ignore[import-untyped]  # it has no types
import pytest

from tests.instrumentation import samples
from tests.instrumentation.programs import Programs
from tests.instrumentation.twins import Pair, Twins, instrument
from tests.telemetry.recording import Process

FLEET = """
class Worker:
    def __init__(self, worker_id="w1"):
        self.worker_id = worker_id

    def __eq__(self, other):
        return vars(self) == vars(other)

    def process(self, stream_id):
        return [self.worker_id, stream_id]

    async def process_later(self, stream_id):
        return stream_id

    @classmethod
    def create(cls, worker_id):
        return cls(worker_id)

    @staticmethod
    def normalise(name):
        return name.lower()

    class Settings:
        pass

worker = Worker()
"""


@pytest.fixture
def modules(process: Process, tmp_path: Path) -> Iterator[Twins]:
    """One source imported as two modules: pickles name a module, so the twins need one each."""
    loaded = []
    for name in ("plain_fleet", "wrapped_fleet"):
        file = tmp_path / f"{name}.py"
        file.write_text(FLEET)
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        loaded.append(module)
    instrument(loaded[1].Worker)
    yield Twins(loaded[0], loaded[1], process)
    for module in loaded:
        del sys.modules[module.__name__]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_an_instance_is_pickled_with_protocol(protocol: int, modules: Twins) -> None:
    def act(module: Any) -> Any:
        restored = pickle.loads(pickle.dumps(module.worker, protocol))
        return restored == module.worker, type(restored) is module.Worker, restored.process("s1")

    modules.behave_alike(act)


def test_pickles_are_the_same_byte_for_byte_but_for_the_modules_name(modules: Twins) -> None:
    def look(module: Any) -> list[bytes]:
        objects = [module.worker, module.worker.process, module.Worker.process, module.Worker.create, module.Worker]
        name = module.__name__.encode()
        dumped = [pickle.dumps(one, 0).replace(name, b"fleet") for one in objects]
        return [*dumped, pickle.dumps(module.Worker.normalise, 0).replace(name, b"fleet")]

    modules.look_alike(look)


def test_a_bound_method_is_pickled(modules: Twins) -> None:
    modules.behave_alike(lambda module: pickle.loads(pickle.dumps(module.worker.process))("s1"))


def test_an_unbound_method_is_pickled_as_itself(modules: Twins) -> None:
    assert modules.look_alike(
        lambda module: pickle.loads(pickle.dumps(module.Worker.process)) is module.Worker.process,
    )


def test_class_and_static_methods_are_pickled(modules: Twins) -> None:
    modules.behave_alike(
        lambda module: [
            pickle.loads(pickle.dumps(module.Worker.create))("w2").worker_id,
            pickle.loads(pickle.dumps(module.Worker.normalise))("A"),
        ],
    )


def test_a_coroutine_method_is_pickled(modules: Twins) -> None:
    modules.look_alike(lambda module: pickle.loads(pickle.dumps(module.worker.process_later)).__name__)


def test_copies_and_deep_copies_are_equal_and_work(modules: Twins) -> None:
    def act(module: Any) -> list[Any]:
        copies = [copy.copy(module.worker), copy.deepcopy(module.worker)]
        return [one.process("s1") for one in copies if one == module.worker]

    modules.behave_alike(act)


def test_a_bound_method_is_deep_copied_with_its_instance(modules: Twins) -> None:
    def act(module: Any) -> list[Any]:
        copied = copy.deepcopy(module.worker.process)
        return [copied("s1"), copied.__self__ is module.worker, copied.__func__ is module.Worker.process]

    modules.behave_alike(act)


def test_functions_and_classes_are_copied_as_themselves(modules: Twins) -> None:
    modules.look_alike(
        lambda module: [
            copy.deepcopy(module.Worker) is module.Worker,
            copy.copy(module.Worker.process) is module.Worker.process,
        ],
    )


def test_weak_methods_live_and_die_with_their_instance(twins: Pair) -> None:
    def act(cls: Any) -> list[Any]:
        worker = cls()
        reference = weakref.WeakMethod(worker.process_stream)
        method = reference()
        assert method is not None
        seen = [method("s1"), method == worker.process_stream, reference == weakref.WeakMethod(worker.process_stream)]
        del worker, method
        gc.collect()
        return [*seen, reference() is None]

    assert twins(samples.make_worker).behave_alike(act)[1:] == [True, True, True]


def test_functions_can_be_referred_to_weakly(twins: Pair) -> None:
    twins(samples.make_worker).look_alike(lambda cls: weakref.ref(cls.process_stream)() is cls.process_stream)


def test_weak_key_dictionaries_find_a_function_again(twins: Pair) -> None:
    def look(cls: Any) -> bool:
        marks = weakref.WeakKeyDictionary({cls.process_stream: "mark"})
        return marks[cls.process_stream] == "mark"

    assert twins(samples.make_worker).look_alike(look)


def test_an_instance_dies_with_its_last_reference(twins: Pair) -> None:
    def act(cls: Any) -> bool:
        worker = cls()
        worker.process_stream("s1")
        gone = weakref.ref(worker)
        del worker
        return gone() is None

    gc.disable()
    try:
        assert twins(samples.make_worker).behave_alike(act)
    finally:
        gc.enable()


def test_cloudpickle_carries_an_importable_class_by_name(modules: Twins) -> None:
    def look(module: Any) -> bytes:
        return cloudpickle.dumps(module.Worker.process).replace(module.__name__.encode(), b"fleet") and b"by name"

    modules.look_alike(look)
    assert pickle.loads(cloudpickle.dumps(modules.wrapped.Worker.process)) is modules.wrapped.Worker.process


def make_local_worker() -> Any:
    class Worker:
        def process(self, stream_id: str) -> str:
            return f"processed {stream_id}"

        async def process_later(self, stream_id: str) -> str:
            return f"later {stream_id}"

        def read(self) -> Any:
            yield "an item"

        async def watch(self) -> Any:
            yield "an item"

        @classmethod
        def create(cls) -> Any:
            return cls()

        @staticmethod
        def normalise(name: str) -> str:
            return name.lower()

    return Worker


@pytest.mark.parametrize("name", ["process", "process_later", "read", "watch", "create", "normalise"])
def test_cloudpickle_carries_a_local_classes_method(name: str, twins: Pair) -> None:
    twins(make_local_worker).look_alike(
        lambda cls: pickle.loads(cloudpickle.dumps(getattr(cls, name))).__qualname__,
    )


def test_cloudpickle_carries_a_local_class_to_a_process_that_has_never_seen_it(
    process: Process, programs: Programs, tmp_path: Path
) -> None:
    class Special(instrument(make_local_worker())):  # type: ignore[misc]  # a class made at run time
        def process(self, stream_id: str) -> str:
            return f"special {super().process(stream_id)}"

    (tmp_path / "worker.pickle").write_bytes(cloudpickle.dumps(instrument(Special)()))
    script = programs.write(
        "unpickle.py",
        """
        import asyncio, pickle
        worker = pickle.load(open("worker.pickle", "rb"))
        print(worker.process("s1"), asyncio.run(worker.process_later("s2")), *worker.read())
        """,
    )
    program = programs.run(str(script))
    assert program.stdout == "special processed s1 later s2 an item\n"
    assert programs.spans() == {"process stream": 1, "process later": 1, "Worker.read": 1}
