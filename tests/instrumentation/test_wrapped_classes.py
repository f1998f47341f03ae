"""A wrapped class is the class it was: its descriptors, its kin, its type."""

from __future__ import annotations

import abc
import dataclasses
import enum
import functools
import inspect
import typing
from typing import Any
from unittest import mock

import pytest

from otel_monitor.instrumentation.patching import patches
from tests.instrumentation import samples
from tests.instrumentation.twins import Pair, instrument, is_wrapped, outcome
from tests.telemetry.recording import Process


def test_bound_methods_are_equal_and_hash_alike(twins: Pair) -> None:
    def look(cls: Any) -> list[bool]:
        worker, other = cls("w1"), cls("w2")
        return [
            worker.process_stream == worker.process_stream,
            worker.process_stream == other.process_stream,
            hash(worker.process_stream) == hash(worker.process_stream),
            worker.process_stream is worker.process_stream,
            cls.process_stream is cls.process_stream,
            worker.process_stream.__func__ is cls.process_stream,
            worker.process_stream.__self__ is worker,
            cls.create.__self__ is cls,
            cls.normalise is cls().normalise,
        ]

    twins(samples.make_worker).look_alike(look)


def test_two_names_of_one_function_are_still_one_function(twins: Pair) -> None:
    assert twins(samples.make_worker).look_alike(lambda cls: cls.alias is cls.process_any)


def test_instances_and_subclasses_are_what_they_were(twins: Pair) -> None:
    pair = twins(samples.make_worker)
    assert isinstance(pair.wrapped(), pair.wrapped)
    assert type(pair.wrapped()) is pair.wrapped
    assert pair.wrapped.__mro__ == (pair.wrapped, object)


@pytest.mark.parametrize("name", ["size", "made_once", "take", "process_twice", "look_up", "Settings", "named"])
def test_is_left_alone(name: str, process: Process) -> None:
    cls = samples.make_descriptors()
    raw = vars(cls)[name]
    instrument(cls)
    assert vars(cls)[name] is raw


def test_properties_get_set_and_document(twins: Pair) -> None:
    def look(cls: Any) -> list[Any]:
        worker = cls()
        worker.size = 7
        return [worker.size, cls.size.__doc__, isinstance(cls.size, property)]

    twins(samples.make_descriptors).look_alike(look)


def test_cached_properties_are_computed_once(twins: Pair) -> None:
    def look(cls: Any) -> list[Any]:
        worker = cls()
        return [worker.made_once is worker.made_once, "made_once" in vars(worker)]

    assert twins(samples.make_descriptors).look_alike(look) == [True, True]


def test_singledispatchmethod_still_dispatches(twins: Pair) -> None:
    twins(samples.make_descriptors).look_alike(lambda cls: [cls().take(1), cls().take("x")])


def test_partialmethods_still_bind(twins: Pair) -> None:
    twins(samples.make_descriptors).look_alike(lambda cls: cls().process_twice("s1"))


def test_lru_caches_keep_their_interface(twins: Pair) -> None:
    def look(cls: Any) -> Any:
        worker = cls()
        return [worker.look_up("a"), worker.look_up("a"), cls.look_up.cache_info()]

    twins(samples.make_descriptors).look_alike(look)


def test_set_name_was_called_with_the_class(twins: Pair) -> None:
    assert twins(samples.make_descriptors).look_alike(lambda cls: cls.named) == "Worker.named"


def test_nested_classes_are_not_wrapped(twins: Pair) -> None:
    assert not is_wrapped(twins(samples.make_descriptors).wrapped.Settings, "process")


def test_slots_hold_and_refuse_as_before(twins: Pair) -> None:
    def act(cls: Any) -> list[Any]:
        worker = cls()
        return [worker.process(), outcome(lambda: setattr(worker, "colour", "red")), hasattr(worker, "__dict__")]

    twins(samples.make_slotted).behave_alike(act)


@pytest.mark.parametrize("options", [{}, {"frozen": True}, {"slots": True}, {"order": True, "kw_only": True}], ids=str)
def test_a_dataclass_works_with(options: dict[str, bool], twins: Pair) -> None:
    def act(cls: Any) -> list[Any]:
        worker = cls(worker_id="w1", streams=["s0"])
        return [
            worker.process("s1"),
            repr(worker),
            worker == cls(worker_id="w1", streams=["s0"]),
            dataclasses.asdict(worker),
            repr(dataclasses.replace(worker, worker_id="w2")),
            [field.name for field in dataclasses.fields(cls)],
            outcome(lambda: setattr(worker, "worker_id", "w3")),
        ]

    twins(samples.make_dataclass(**options)).behave_alike(act)


def test_a_dataclass_decorator_may_come_after_wrapping(twins: Pair) -> None:
    def act(cls: Any) -> list[Any]:
        rebuilt = dataclasses.dataclass(slots=True)(cls)
        return [rebuilt("w1").process("s1"), rebuilt.__slots__]

    def make() -> Any:
        class Worker:
            worker_id: str

            def process(self, stream_id: str) -> str:
                return f"{self.worker_id} {stream_id}"

        return Worker

    twins(make).behave_alike(act)


def test_a_decorator_that_rebuilds_a_wrapped_class_finds_the_class_cell_of_super(twins: Pair) -> None:
    """As attrs does it for classes with slots: it looks for the class among each method's cells."""

    def rebuilt(cls: Any) -> Any:
        new = type(cls)(cls.__name__, cls.__bases__, {k: v for k, v in vars(cls).items() if k != "__dict__"})
        for value in vars(new).values():
            for cell in getattr(value, "__closure__", None) or ():
                if cell.cell_contents is cls:
                    cell.cell_contents = new
        return new

    def make() -> Any:
        class Base:
            def process(self) -> str:
                return "base"

        class Worker(Base):
            def process(self) -> str:
                return super().process()

        return Worker

    assert twins(make).behave_alike(lambda cls: rebuilt(cls)().process()) == "base"


def test_abstract_methods_are_still_abstract(twins: Pair) -> None:
    def act(cls: Any) -> list[Any]:
        class Concrete(cls):  # type: ignore[misc]  # a class made at run time
            def process(self, stream_id: str) -> Any:
                return super().process(stream_id)

        class StillAbstract(cls):  # type: ignore[misc]  # likewise
            pass

        return [
            cls.__abstractmethods__,
            cls.process.__isabstractmethod__,
            outcome(cls)[1],
            outcome(StillAbstract)[1],
            inspect.isabstract(cls),
            Concrete().run_task("t1"),
        ]

    twins(samples.make_abstract).behave_alike(act)


def test_abcs_register_virtual_subclasses(twins: Pair) -> None:
    def look(cls: Any) -> list[bool]:
        class Virtual:
            pass

        cls.register(Virtual)
        return [isinstance(Virtual(), cls), issubclass(Virtual, cls), isinstance(cls, abc.ABCMeta)]

    twins(samples.make_abstract).look_alike(look)


def test_a_runtime_checkable_protocol_still_checks(twins: Pair) -> None:
    def look(cls: Any) -> list[bool]:
        class Fitting:
            def process(self, stream_id: str) -> str:
                return stream_id

        return [isinstance(Fitting(), cls), isinstance(object(), cls), issubclass(Fitting, cls)]

    assert twins(samples.make_protocol).look_alike(look) == [True, False, True]


def test_a_wrapped_class_still_fits_a_protocol(twins: Pair) -> None:
    protocol = samples.make_protocol()
    assert twins(samples.make_dataclass()).look_alike(lambda cls: isinstance(cls("w1"), protocol))


def test_a_metaclass_is_not_asked_to_set_compare_or_hash_anything(twins: Pair) -> None:
    def act(cls: Any) -> list[Any]:
        return [cls().process("s1"), type(cls).__name__, outcome(lambda: setattr(cls, "process", None))]

    twins(samples.make_with_metaclass).behave_alike(act)


def test_enum_members_stay_members_and_have_their_methods(twins: Pair) -> None:
    def act(cls: Any) -> list[Any]:
        return [list(map(str, cls)), cls.FAST.process("s1"), cls(2).name, cls["SLOW"] is cls.SLOW, len(cls)]

    twins(samples.make_enum).behave_alike(act)
    assert isinstance(samples.make_enum(), enum.EnumMeta)


def test_named_tuples_stay_tuples_and_have_their_methods(twins: Pair) -> None:
    def act(cls: Any) -> list[Any]:
        point = cls(1, y=2)
        return [point.process(), tuple(point), point._replace(x=5)._asdict(), cls._fields, point == (1, 2), repr(point)]

    twins(samples.make_named_tuple).behave_alike(act)


def test_generic_classes_can_be_parametrised(twins: Pair) -> None:
    def act(cls: Any) -> list[Any]:
        return [cls[int]().process(1), typing.get_args(cls[int]), typing.get_origin(cls[int]) is cls]

    twins(samples.make_generic).behave_alike(act)


def test_exception_classes_can_be_raised_and_described(twins: Pair) -> None:
    def act(cls: Any) -> list[Any]:
        with pytest.raises(cls) as caught:
            raise cls("s1")
        return [caught.value.describe(), str(caught.value)]

    twins(samples.make_exception).behave_alike(act)


def test_super_reaches_the_overridden_method_and_init_subclass_ran_once(twins: Pair) -> None:
    def act(cls: Any) -> list[Any]:
        return [cls().process("s1"), cls.create(), cls.options]

    expected = [["worker", "base", "s1"], ["worker", "base", "Worker"], {"colour": "red"}]
    assert twins(samples.make_family).behave_alike(act) == expected


def test_a_class_can_be_subclassed_and_overridden_after_wrapping(twins: Pair) -> None:
    def act(cls: Any) -> list[Any]:
        class Special(cls):  # type: ignore[misc]  # a class made at run time
            def process_stream(self, stream_id: str, *args: Any, **kwargs: Any) -> Any:
                return ["special", super().process_stream(stream_id, *args, **kwargs)]

        return [Special().process_stream("s1", 2), Special.create("w9").worker_id, Special.__mro__[1] is cls]

    twins(samples.make_worker).behave_alike(act)


def test_mock_patch_object_replaces_and_restores_a_method(twins: Pair) -> None:
    def act(cls: Any) -> list[Any]:
        worker = cls()
        before = vars(cls)["process_stream"]
        with mock.patch.object(cls, "process_stream", return_value="mocked") as mocked:
            seen = [worker.process_stream("s1"), mocked.call_args.args]
        return [*seen, vars(cls)["process_stream"] is before, worker.process_stream("s2")]

    twins(samples.make_worker).behave_alike(act)


def test_mock_patch_object_on_an_instance_works(twins: Pair) -> None:
    def look(cls: Any) -> list[Any]:
        worker = cls()
        with mock.patch.object(worker, "process_stream", side_effect=KeyError("mocked")):
            seen = outcome(lambda: worker.process_stream("s1"))
        return [seen, "process_stream" in vars(worker)]

    twins(samples.make_worker).look_alike(look)


def test_a_spy_that_wraps_a_method_calls_it(twins: Pair) -> None:
    def act(cls: Any) -> list[Any]:
        worker = cls()
        with mock.patch.object(worker, "process_stream", wraps=worker.process_stream) as spy:
            return [worker.process_stream("s1"), spy.call_count]

    twins(samples.make_worker).behave_alike(act)


def test_create_autospec_enforces_the_same_signatures(twins: Pair) -> None:
    def look(cls: Any) -> list[Any]:
        double = mock.create_autospec(cls, instance=True)
        double.process_stream.return_value = "autospecced"
        return [
            double.process_stream("s1", attempt=2),
            outcome(double.process_stream)[:2],
            outcome(lambda: double.process_stream("s1", colour=1))[:2],
            inspect.iscoroutinefunction(double.process_later),
        ]

    twins(samples.make_worker).look_alike(look)


def test_total_ordering_may_be_applied_after_wrapping(twins: Pair) -> None:
    def act(cls: Any) -> list[Any]:
        ordered = functools.total_ordering(cls)
        return [ordered(1).process() <= ordered(2).process(), ordered(1) <= ordered(2)]

    def make() -> Any:
        class Worker:
            def __init__(self, size: int) -> None:
                self.size = size

            def __lt__(self, other: Any) -> bool:
                return bool(self.size < other.size)

            def process(self) -> int:
                return self.size

        return Worker

    twins(make).behave_alike(act)


def test_a_users_monkeypatch_after_wrapping_wins(twins: Pair) -> None:
    def look(cls: Any) -> list[Any]:
        cls.process_stream = lambda self, stream_id: ["patched", stream_id]
        del cls.alias
        return [cls().process_stream("s1"), hasattr(cls, "alias")]

    twins(samples.make_worker).look_alike(look)


def test_wrapping_twice_wraps_once(twins: Pair, process: Process) -> None:
    pair = twins(samples.make_worker)
    entries = dict(vars(pair.wrapped))
    instrument(pair.wrapped)
    assert dict(vars(pair.wrapped)) == entries
    pair.wrapped().process_stream("s1")
    assert len(process.spans) == 1


def test_restoring_puts_the_very_objects_back(process: Process) -> None:
    for make in (samples.make_worker, samples.make_family, samples.make_descriptors, samples.make_enum):
        cls = make()
        entries = [dict(vars(base)) for base in cls.__mro__]
        instrument(cls)
        assert [dict(vars(base)) for base in cls.__mro__] != entries
        patches.restore()
        for before, base in zip(entries, cls.__mro__, strict=True):
            assert list(vars(base)) == list(before)
            assert all(vars(base)[name] is value for name, value in before.items())


def test_restoring_leaves_a_later_monkeypatch_alone(process: Process) -> None:
    cls = instrument(samples.make_worker())
    replacement = lambda self: None  # noqa: E731
    cls.process_stream = replacement
    patches.restore()
    assert vars(cls)["process_stream"] is replacement


def test_lazy_proxies_in_a_class_are_not_woken(process: Process) -> None:
    class Proxy:
        @property  # type: ignore[misc]  # as lazy proxies do
        def __class__(self) -> Any:
            raise RuntimeError("woken")

    class Worker:
        lazy = Proxy()

        def process(self) -> None:
            """Nothing."""

    assert is_wrapped(instrument(Worker), "process")
