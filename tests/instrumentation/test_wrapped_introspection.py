"""Whoever inspects a wrapped class finds what its author wrote."""

from __future__ import annotations

import asyncio
import doctest
import inspect
import pydoc
import sys
import typing
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from tests.instrumentation import samples
from tests.instrumentation.twins import Pair, is_wrapped

METHODS = (
    "process_stream",
    "process_any",
    "process_strictly",
    "process_later",
    "process_old_style",
    "read",
    "watch",
    "create",
    "normalise",
)


def each_method(look: Callable[[Any], Any]) -> Callable[[Any], list[Any]]:
    return lambda cls: [look(getattr(cls, name)) for name in METHODS]


def test_every_method_of_the_sample_is_wrapped(twins: Pair) -> None:
    assert all(is_wrapped(twins(samples.make_worker).wrapped, name) for name in METHODS)


@pytest.mark.parametrize(
    "look",
    [
        pytest.param(inspect.signature, id="signature"),
        pytest.param(inspect.getfullargspec, id="getfullargspec"),
        pytest.param(inspect.iscoroutinefunction, id="iscoroutinefunction"),
        pytest.param(asyncio.iscoroutinefunction, id="asyncio.iscoroutinefunction"),
        pytest.param(inspect.isgeneratorfunction, id="isgeneratorfunction"),
        pytest.param(inspect.isasyncgenfunction, id="isasyncgenfunction"),
        pytest.param(inspect.isfunction, id="isfunction"),
        pytest.param(inspect.ismethod, id="ismethod"),
        pytest.param(inspect.isroutine, id="isroutine"),
        pytest.param(inspect.getsource, id="getsource"),
        pytest.param(inspect.getsourcelines, id="getsourcelines"),
        pytest.param(inspect.getdoc, id="getdoc"),
        pytest.param(inspect.getcomments, id="getcomments"),
        pytest.param(inspect.getmodule, id="getmodule"),
        pytest.param(typing.get_type_hints, id="get_type_hints"),
        pytest.param(callable, id="callable"),
        pytest.param(type, id="type"),
    ],
)
def test_looks_the_same_to(look: Callable[[Any], Any], twins: Pair) -> None:
    twins(samples.make_worker).look_alike(each_method(look))


@pytest.mark.parametrize(
    "attribute",
    ["__name__", "__qualname__", "__module__", "__doc__", "__annotations__", "__defaults__", "__kwdefaults__"],
)
def test_has_the_same(attribute: str, twins: Pair) -> None:
    twins(samples.make_worker).look_alike(each_method(lambda method: getattr(method, attribute)))


def test_bound_methods_have_the_same_signatures(twins: Pair) -> None:
    def look(cls: Any) -> list[Any]:
        instance = cls()
        return [inspect.signature(getattr(instance, name)) for name in METHODS]

    twins(samples.make_worker).look_alike(look)


def test_getcallargs_binds_arguments_alike(twins: Pair) -> None:
    twins(samples.make_worker).look_alike(
        lambda cls: inspect.getcallargs(cls.process_stream, None, "s1", priority=2),
    )


def test_unwrap_leads_to_the_code_that_the_user_wrote(twins: Pair) -> None:
    def look(cls: Any) -> list[tuple[str, int]]:
        codes = [inspect.unwrap(getattr(cls, name)).__code__ for name in METHODS]
        return [(code.co_filename, code.co_firstlineno) for code in codes]

    twins(samples.make_worker).look_alike(look)


def test_profilers_and_tracebacks_see_the_same_code_names(twins: Pair) -> None:
    twins(samples.make_worker).look_alike(
        each_method(lambda method: (method.__code__.co_name, method.__code__.co_qualname)),
    )


def test_attributes_that_the_user_set_on_a_function_are_still_there(twins: Pair) -> None:
    assert twins(samples.make_worker).look_alike(lambda cls: cls.process_stream.retries) == 3


def test_a_function_has_the_globals_of_the_users_module(twins: Pair) -> None:
    twins(samples.make_worker).look_alike(each_method(lambda method: method.__globals__["__name__"]))


def test_doctest_finds_and_runs_the_examples_in_methods(twins: Pair) -> None:
    pair = twins(samples.make_worker)

    def look(cls: Any) -> list[tuple[str, int]]:
        found = doctest.DocTestFinder().find(cls, "Worker", module=sys.modules[samples.__name__])
        runner = doctest.DocTestRunner(verbose=False)
        return [(test.name, runner.run(test).attempted) for test in found if test.examples]

    assert pair.look_alike(look) == [("Worker.process_stream", 1)]


def test_help_shows_the_same_page(twins: Pair) -> None:
    twins(samples.make_worker).look_alike(lambda cls: pydoc.render_doc(cls, renderer=pydoc.TextDoc()))


def test_classify_class_attrs_tells_methods_from_class_and_static_methods(twins: Pair) -> None:
    twins(samples.make_worker).look_alike(
        lambda cls: [(attribute.name, attribute.kind) for attribute in inspect.classify_class_attrs(cls)],
    )


def test_the_class_dict_has_the_same_names_in_the_same_order(twins: Pair) -> None:
    twins(samples.make_worker).look_alike(lambda cls: list(vars(cls)))


def test_the_class_dict_holds_objects_of_the_same_types(twins: Pair) -> None:
    twins(samples.make_worker).look_alike(lambda cls: [type(value) for value in vars(cls).values()])


def test_dir_and_getmembers_list_the_same_names(twins: Pair) -> None:
    twins(samples.make_worker).look_alike(lambda cls: [name for name, _ in inspect.getmembers(cls)] + dir(cls))


def test_class_and_static_methods_carry_their_functions_names(twins: Pair) -> None:
    def look(cls: Any) -> list[Any]:
        raws = [vars(cls)[name] for name in ("create", "normalise")]
        return [(raw.__name__, raw.__doc__, raw.__func__.__qualname__, raw.__wrapped__ is raw.__func__) for raw in raws]

    twins(samples.make_worker).look_alike(look)


def test_overloads_are_found(twins: Pair) -> None:
    overloads = twins(samples.make_overloaded).look_alike(lambda cls: len(typing.get_overloads(cls.process)))
    assert overloads == 2


def test_getclosurevars_of_a_wrapped_method_does_not_fail(twins: Pair) -> None:
    assert inspect.getclosurevars(twins(samples.make_worker).wrapped.process_stream).unbound == set()


def test_a_users_signature_that_is_none_is_left_for_inspect_to_complain_about(twins: Pair) -> None:
    def make() -> Any:
        class Worker:
            def process(self, stream_id: str) -> str:
                return stream_id

            process.__signature__ = "no signature"  # type: ignore[attr-defined]

        return Worker

    pair = twins(make)
    for cls in (pair.plain, pair.wrapped):
        with pytest.raises(TypeError, match="unexpected object 'no signature'"):
            inspect.signature(cls.process)
    assert pair.behave_alike(lambda cls: cls().process("s1")) == "s1"


def test_module_level_introspection_of_a_whole_module_is_unchanged(twins: Pair) -> None:
    def look(cls: Any) -> list[str]:
        module = ModuleType("fleet")
        vars(module)["Worker"] = cls
        return [name for name, value in inspect.getmembers(module) if inspect.isclass(value)]

    twins(samples.make_worker).look_alike(look)
