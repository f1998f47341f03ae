"""The one guard around every hook of ours in somebody else's program.

A hook that raises must never reach the application. Each guarded function is a *site*: it logs its
first failures once a minute at most, counts them all, and returns a harmless default. Under tests
`reraise_errors()` lets the exception through.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from types import CodeType

P = ParamSpec("P")
R = TypeVar("R")

_logger = logging.getLogger("otel_monitor")
_LOG_INTERVAL_S = 60.0
_reraise = False


class Site:
    """One guarded place: its name, how often it failed, and the fault a test has put there."""

    __slots__ = ("errors", "fault", "logged_at", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.errors = 0
        self.fault: Exception | None = None
        self.logged_at = float("-inf")

    def raise_fault(self) -> None:
        """Raise what a test has put here."""
        if self.fault is not None:
            raise self.fault

    def failed(self, error: Exception) -> None:
        """Count `error`, log it at most once a minute, and re-raise it only under tests."""
        self.errors += 1
        if _reraise:
            raise error
        now = time.monotonic()
        if now - self.logged_at < _LOG_INTERVAL_S:
            return
        self.logged_at = now
        with contextlib.suppress(Exception):  # a logging handler of the application's may raise: the last resort
            _logger.warning(
                "otel-monitor: an internal error in %s; your code keeps running, with less telemetry (%s: %s)",
                self.name,
                type(error).__qualname__,
                error,
            )


SITES: dict[str, Site] = {}
"""Every guarded place by its name, in order of definition."""


def guard(name: str, default: Any = None) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a hook: an `Exception` inside it is counted and swallowed, and `default` returned.

    An exception that a signal handler of the application's raises while the hook runs (a task's time
    limit, say) is the application's: it passes.
    """
    site = SITES.setdefault(name, Site(name))

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                if site.fault is not None:
                    site.raise_fault()
                return function(*args, **kwargs)
            except Exception as error:  # this is the guard
                if raised_by_signal_handler(error):
                    raise
                site.failed(error)
                return default  # type: ignore[no-any-return]  # the caller chose a default of the hook's own type

        return guarded

    return decorate


def error_counts() -> dict[str, int]:
    """How many exceptions each site has swallowed, for `otel_monitor.self.errors`."""
    return {site.name: site.errors for site in SITES.values() if site.errors}


def reraise_errors(enabled: bool = True) -> None:
    """Let exceptions through the guards, as tests want it."""
    global _reraise
    _reraise = enabled


def inject_fault(name: str, fault: Exception | None) -> None:
    """Make the site `name` raise `fault` at its next calls, until it is set to None.

    Raises:
        KeyError: no such site.
    """
    SITES[name].fault = fault


def passes(error: Exception) -> bool:
    """Whether `error` is not ours to swallow: the application's own, or one that tests want to see."""
    return _reraise or raised_by_signal_handler(error)


def site(name: str) -> Site:
    """The site of that name, made when it is not known yet."""
    return SITES.setdefault(name, Site(name))


def raised_by_signal_handler(error: Exception) -> bool:
    """Whether a signal handler of the application's has raised `error` while a hook of ours ran."""
    traceback = error.__traceback__
    codes: set[CodeType] | None = None
    while traceback is not None:
        if codes is None:
            codes = _handler_codes()
            if not codes:
                return False
        if traceback.tb_frame.f_code in codes:
            return True
        traceback = traceback.tb_next
    return False


def _handler_codes() -> set[CodeType]:
    codes = set()
    for number in (
        signal.SIGALRM,
        signal.SIGINT,
        signal.SIGTERM,
        signal.SIGUSR1,
        signal.SIGUSR2,
        signal.SIGVTALRM,
        signal.SIGPROF,
    ):
        handler = signal.getsignal(number)
        code = getattr(handler, "__code__", None) or getattr(getattr(handler, "__func__", None), "__code__", None)
        if code is not None:
            codes.add(code)
    return codes
