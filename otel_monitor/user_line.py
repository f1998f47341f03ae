"""What the user is told: one line each, in the program's own log."""

from __future__ import annotations

import logging

_logger = logging.getLogger("otel_monitor")


def say(text: str) -> None:
    """Tell the user something, as a warning."""
    _logger.warning("otel-monitor: %s", " ".join(text.split()))


def told(error: BaseException) -> str:
    """An exception in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())
