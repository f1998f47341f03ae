"""Why an alert is held back: the decision itself, in words, not merely a no."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Held:
    """An alert is not told because of `reason`, until `until` (unix seconds) where that is known."""

    reason: str
    until: float | None = None


def instant(at: float) -> str:
    """A time in words: RFC 3339, UTC, to the second; past the year 9999 the end of that."""
    try:
        moment = datetime.fromtimestamp(at, UTC)
    except (OverflowError, ValueError, OSError):
        moment = datetime.max.replace(tzinfo=UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
