"""What every test shares: ports, processes, waiting, and the rule that CI skips nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from opentelemetry import context, trace
from opentelemetry.context import Context

from otel_monitor_processors import guard
from tests.ports import free_port as find_free_port
from tests.processes import Processes

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests see no OpenTelemetry settings of the shell they run in."""
    for name in os.environ:
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _guards_let_errors_through() -> Iterator[None]:
    """An error inside a hook of ours fails the test; a test of the guard itself turns this off."""
    guard.reraise_errors(enabled=True)
    yield
    guard.reraise_errors(enabled=False)
    for name in guard.SITES:
        guard.inject_fault(name, None)


@pytest.fixture(autouse=True)
def _no_span_is_left_current() -> Iterator[None]:
    """A span that a test leaves behind as the current one would be the parent of every span of the next."""
    context.attach(Context())
    yield
    left = trace.get_current_span()
    context.attach(Context())
    assert left is trace.INVALID_SPAN, f"left as the current span: {left}"


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Gives a loopback port that nobody listens on, another one at each call."""
    return find_free_port


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Starts programs; what is still running at the end of the test is killed with all its children."""
    runner = Processes(tmp_path)
    yield runner
    runner.kill_all()


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


def _fail_if_skipped_in_ci(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not {"CI", "NO_SKIPS"} & os.environ.keys() or report.outcome != "skipped" or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"Here nothing may be skipped, and this was: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _fail_if_skipped_in_ci(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_if_skipped_in_ci(report)
    return report
