"""Classes are found by name: when their module is imported, and not earlier."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from otel_monitor.instrumentation.operation import Side
from otel_monitor.instrumentation.overrides import read_overrides
from otel_monitor.instrumentation.registry import check_unresolved, registry
from otel_monitor.instrumentation.targets import Target, read_targets
from otel_monitor_processors import guard
from tests.instrumentation.twins import is_wrapped
from tests.telemetry.recording import Process

FLEET = """
from shop.base import Base

class Worker(Base):
    def process(self, stream_id): return stream_id
    class Inner:
        def process(self): return "inner"

class Helper:
    def process(self): return "helper"

def place(): ...
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, process: Process) -> Iterator[Path]:
    """A package of the user's that nothing has imported yet."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "base.py").write_text("class Base:\n    def report(self): return 'report'\n")
    (folder / "fleet.py").write_text(FLEET)
    (folder / "broken.py").write_text("class Worker: ...\nraise RuntimeError('broken')\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "shop"]:
        del sys.modules[name]


def add(*names: str) -> None:
    targets, problems = read_targets(names, Side.WORKER, "OTEL_MONITOR_WORKERS")
    assert problems == []
    registry.add_targets(targets)


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.WARNING, "otel_monitor")
    return lambda: [record.getMessage() for record in caplog.records]


def test_nothing_is_imported_when_a_class_is_named(shop: Path) -> None:
    before = set(sys.modules)
    add("shop.fleet:Worker")
    check_unresolved()
    assert set(sys.modules) == before


def test_a_class_is_wrapped_when_its_module_is_imported(shop: Path) -> None:
    add("shop.fleet:Worker")
    fleet: Any = importlib.import_module("shop.fleet")
    assert is_wrapped(fleet.Worker, "process")
    assert is_wrapped(sys.modules["shop.base"].Base, "report")
    assert not is_wrapped(fleet.Helper, "process")


def test_a_class_that_is_imported_already_is_wrapped_at_once(shop: Path) -> None:
    fleet: Any = importlib.import_module("shop.fleet")
    add("shop.fleet:Worker")
    assert is_wrapped(fleet.Worker, "process")


def test_a_star_means_the_classes_that_the_module_defines(shop: Path) -> None:
    add("shop.fleet:*")
    fleet: Any = importlib.import_module("shop.fleet")
    assert is_wrapped(fleet.Worker, "process")
    assert is_wrapped(fleet.Helper, "process")
    (shop / "other.py").write_text("from shop.fleet import Helper\nclass Own:\n    def process(self): ...\n")
    add("shop.other:*")
    importlib.import_module("shop.other")
    assert [one.target.path for one in registry._pending if one.is_found] == ["*", "*"]


def test_a_nested_class_can_be_named(shop: Path) -> None:
    add("shop.fleet:Worker.Inner")
    assert is_wrapped(importlib.import_module("shop.fleet").Worker.Inner, "process")


def test_a_class_can_be_named_where_it_is_imported_to(shop: Path) -> None:
    (shop / "api.py").write_text("from shop.fleet import Worker as Person\n")
    registry.add_overrides(read_overrides({"shop.api:Person.process": {"role": "ignore"}})[0])
    add("shop.api:Person")
    worker = importlib.import_module("shop.api").Person
    assert not is_wrapped(worker, "process")
    assert is_wrapped(worker.__mro__[1], "report")


def test_the_module_and_its_spec_are_as_an_import_leaves_them(shop: Path) -> None:
    add("shop.fleet:Worker")
    fleet = importlib.import_module("shop.fleet")
    assert fleet.__spec__ is not None
    assert type(fleet.__spec__.loader).__name__ == "SourceFileLoader"
    assert fleet.__loader__ is fleet.__spec__.loader


def test_a_module_that_fails_to_import_raises_its_own_error(shop: Path) -> None:
    add("shop.broken:Worker")
    for _ in range(2):
        with pytest.raises(RuntimeError, match="broken"):
            importlib.import_module("shop.broken")


def test_an_error_in_our_import_hook_never_fails_the_import(shop: Path) -> None:
    guard.reraise_errors(enabled=False)
    guard.inject_fault("registry.imported", RuntimeError("ours"))
    add("shop.fleet:Worker")
    fleet: Any = importlib.import_module("shop.fleet")
    assert fleet.Worker().process("s1") == "s1"


def test_a_class_that_is_wanted_no_more_is_not_wrapped(shop: Path) -> None:
    add("shop.fleet:Worker")
    registry.clear()
    assert not is_wrapped(importlib.import_module("shop.fleet").Worker, "process")


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("shop.fleet:Wroker", "shop.fleet has no class Wroker (did you mean 'Worker'?)"),
        ("shop.fleet:place", "shop.fleet.place is a function; mark it with @otel_monitor.operation"),
        ("shop.flet:Worker", "shop has no module flet (did you mean 'fleet'?)"),
        ("shpo.fleet:Worker", "there is no module shpo (did you mean 'shop'?)"),
        ("shop.fleet.deep:Worker", "shop.fleet has no module deep"),
        ("shop.base:Zebra", "shop.base has no class Zebra"),
        ("shop:*", "shop defines no class"),
    ],
)
def test_a_name_that_means_nothing_is_said_once_with_the_nearest_match(
    name: str, line: str, shop: Path, said: Callable[[], list[str]]
) -> None:
    add(name, "shop.fleet:Worker")
    importlib.import_module("shop.fleet")
    for _ in range(3):
        check_unresolved()
    assert said() == [
        f"otel-monitor: OTEL_MONITOR_WORKERS: '{name}' is not found: {line}; your code keeps running, without it"
    ]


def test_a_module_that_exists_but_is_not_imported_is_nothing_to_speak_of(
    shop: Path, said: Callable[[], list[str]]
) -> None:
    add("shop.fleet:Wroker", "json.tool:Worker", "wave:Worker")
    check_unresolved()
    assert said() == []


def test_a_wrong_name_in_a_module_that_is_imported_late_is_said_then(shop: Path, said: Callable[[], list[str]]) -> None:
    add("shop.fleet:Wroker")
    check_unresolved()
    importlib.import_module("shop.fleet")
    assert len(said()) == 1


def test_a_class_that_its_module_defines_late_is_found_by_the_check(shop: Path, said: Callable[[], list[str]]) -> None:
    add("shop.base:Late")
    base: Any = importlib.import_module("shop.base")
    base.Late = type("Late", (), {"process": lambda self: None})
    check_unresolved()
    assert is_wrapped(base.Late, "process")
    assert said() == []


def test_a_module_that_is_loaded_lazily_is_not_woken(shop: Path, said: Callable[[], list[str]]) -> None:
    add("shop.fleet:Worker")
    spec = importlib.util.find_spec("shop.fleet")
    assert spec is not None
    assert spec.loader is not None
    spec.loader = importlib.util.LazyLoader(spec.loader)
    sys.modules["shop.fleet"] = fleet = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fleet)
    add("shop.fleet:Helper")
    check_unresolved()
    assert "shop.base" not in sys.modules
    assert said() == []
    assert fleet.Helper().process() == "helper"
    check_unresolved()
    assert is_wrapped(fleet.Helper, "process")


def test_something_else_in_the_place_of_a_module_is_no_matter(shop: Path, said: Callable[[], list[str]]) -> None:
    sys.modules["shop.odd"] = object()  # type: ignore[assignment]  # that is what is tested
    add("shop.odd:Worker")
    check_unresolved()
    assert len(said()) == 1


def test_a_lazy_proxy_in_a_module_is_not_woken(shop: Path, said: Callable[[], list[str]]) -> None:
    (shop / "lazy.py").write_text(
        "class Proxy:\n"
        "    @property\n"
        "    def __class__(self): raise RuntimeError('woken')\n"
        "    def __getattr__(self, name): raise RuntimeError('woken')\n"
        "Worker = Proxy()\n"
    )
    add("shop.lazy:Worker", "shop.lazy:*")
    importlib.import_module("shop.lazy")
    check_unresolved()
    assert len(said()) == 1


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("shop.fleet.Worker", " (did you mean 'shop.fleet:Worker'?)"),
        ("Worker", ""),
        ("shop.fleet:", ""),
        (":Worker", ""),
        ("shop fleet:Worker", ""),
        ("shop.fleet:Worker:x", ""),
    ],
)
def test_a_malformed_name_is_a_problem(name: str, problem: str) -> None:
    targets, problems = read_targets([name, " shop.fleet:Worker "], Side.WORKER, "fleet.json: workers")
    assert targets == [Target("shop.fleet", "Worker", Side.WORKER, "fleet.json: workers")]
    assert [str(one) for one in problems] == [
        f"fleet.json: workers: {name!r} is not package.module:Class or package.module:*{problem}"
    ]


def test_an_override_of_a_class_that_nobody_named_is_said(shop: Path, said: Callable[[], list[str]]) -> None:
    operations = {"shop.fleet:Helper.process": {"role": "ignore"}, "shop.base:Base.report": {"role": "ignore"}}
    registry.add_overrides(read_overrides(operations)[0])
    add("shop.fleet:Worker")
    importlib.import_module("shop.fleet")
    check_unresolved()
    (line,) = said()
    assert line.startswith("otel-monitor: operations.shop.fleet:Helper.process: shop.fleet:Helper is named neither in")
