"""Time that only moves when it is told to."""

from __future__ import annotations


class VirtualClock:
    """Seconds since the test began."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> float:
        """Let `seconds` pass; the time it is then.

        Raises:
            ValueError: time runs forward only.
        """
        if seconds < 0:
            raise ValueError(f"time cannot run back by {-seconds:g} s")
        self.now += seconds
        return self.now
