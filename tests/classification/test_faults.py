"""Every provoked fault is classified as what it is: as an exception, and as telemetry records it."""

from __future__ import annotations

import gc
import importlib
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_monitor_processors.classification import classify, classify_attributes
from tests.classification.faults import FAULTS, Fault, provoked

for module in sorted(Path(__file__).parent.glob("faults_*.py")):
    importlib.import_module(f"tests.classification.{module.stem}")

# What a fault cuts short is left open by its library: sockets, coroutines. And libraries call each other's old names.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True, scope="module")
def _nothing_left_to_other_tests() -> Iterator[None]:
    yield
    gc.collect()


@pytest.mark.parametrize("fault", [pytest.param(fault, id=name) for name, fault in FAULTS.items()])
def test_a_provoked_fault_is_classified_as_what_it_is(fault: Fault, request: pytest.FixtureRequest) -> None:
    fixtures = [request.getfixturevalue(name) for name in fault.needs]
    error = provoked(lambda: fault.provoke(*fixtures))
    described = "".join(traceback.format_exception(error))[-3000:]

    assert classify(error) == fault.expected, described

    kind = type(error)
    recorded = {
        "exception.type": kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}",
        "exception.message": str(error),
        "exception.stacktrace": "".join(traceback.format_exception(error)),
    }
    description = f"{kind.__name__}: {error}"
    assert classify_attributes(recorded, status_description=description) == fault.recorded, described
