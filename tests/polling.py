"""Waiting for something to become true, with a deadline in place of a sleep."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(probe: Callable[[], T | None], timeout_s: float = 20.0, what: str = "") -> T:
    """The first true value of `probe`, asked again and again.

    Raises:
        TimeoutError: there was none within `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what or 'it'} did not come true within {timeout_s:g} s (last: {value!r})")
        time.sleep(0.02)
