"""One guard keeps our exceptions away from the application."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Iterator

import pytest

from otel_monitor_processors import guard


@pytest.fixture(autouse=True)
def _as_in_production() -> Iterator[None]:
    guard.reraise_errors(enabled=False)
    yield
    guard.reraise_errors(enabled=True)


@guard.guard("test.hook", default="harmless")
def hook(error: BaseException | None = None) -> str:
    if error is not None:
        raise error
    return "worked"


def test_a_hook_that_works_returns_its_result() -> None:
    assert hook() == "worked"


def test_a_hook_that_raises_returns_its_default_and_is_counted() -> None:
    before = guard.error_counts().get("test.hook", 0)
    assert hook(ValueError("ours")) == "harmless"
    assert guard.error_counts()["test.hook"] == before + 1


def test_a_failing_hook_logs_once_a_minute_at_most(caplog: pytest.LogCaptureFixture) -> None:
    guard.SITES["test.hook"].logged_at = float("-inf")
    with caplog.at_level(logging.WARNING, "otel_monitor"):
        for _ in range(100):
            hook(ValueError("ours"))
    assert len(caplog.records) == 1
    assert "your code keeps running" in caplog.text


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), GeneratorExit()])
def test_what_ends_a_program_passes(error: BaseException) -> None:
    with pytest.raises(type(error)):
        hook(error)


class TimeLimitExceededError(Exception):
    """What a task queue raises from its alarm handler."""


def test_an_exception_from_the_applications_signal_handler_passes() -> None:
    def alarm(_number: int, _frame: object) -> None:
        raise TimeLimitExceededError

    @guard.guard("test.slow_hook")
    def slow() -> None:
        end = time.monotonic() + 5.0
        while time.monotonic() < end:
            pass

    previous = signal.signal(signal.SIGALRM, alarm)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        with pytest.raises(TimeLimitExceededError):
            slow()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def test_a_logging_handler_that_raises_does_no_harm() -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise RuntimeError("disk full")

    logger = logging.getLogger("otel_monitor")
    handler = Broken()
    logger.addHandler(handler)
    guard.SITES["test.hook"].logged_at = float("-inf")
    try:
        assert hook(ValueError("ours")) == "harmless"
    finally:
        logger.removeHandler(handler)


def test_an_injected_fault_is_raised_inside_the_hook() -> None:
    guard.inject_fault("test.hook", RuntimeError("injected"))
    assert hook() == "harmless"
    guard.inject_fault("test.hook", None)
    assert hook() == "worked"


def test_under_tests_errors_come_through() -> None:
    guard.reraise_errors(enabled=True)
    with pytest.raises(ValueError, match="ours"):
        hook(ValueError("ours"))
