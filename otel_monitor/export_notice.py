"""What a user is told when telemetry does not leave: a line a minute at most, and one when it leaves again."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from enum import StrEnum

from otel_monitor.export_cause import Cause

_logger = logging.getLogger("otel_monitor")

INTERVAL_S = 60.0


class Signal(StrEnum):
    """What an exporter exports; the value is OpenTelemetry's name of it."""

    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"

    @property
    def item(self) -> str:
        return _ITEMS[self]


_ITEMS = {Signal.TRACES: "span", Signal.METRICS: "metric point", Signal.LOGS: "log record"}
_QUEUE_SIZES = {Signal.TRACES: "OTEL_BSP_MAX_QUEUE_SIZE", Signal.LOGS: "OTEL_BLRP_MAX_QUEUE_SIZE"}


class ExportNotice:
    """Gathers the failures of all exporters of this process into as few lines as will do.

    Once `closing` is called, nothing is said before `close`: the threads that export may die at any moment
    then, and one that dies while it writes takes the lock of stderr with it.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, say: Callable[[str], None] | None = None) -> None:
        self._clock = clock
        self._say = say if say is not None else _warn
        self.reset()

    def reset(self) -> None:
        """Forget everything, in a forked child: the parent reports on itself."""
        self._lock = threading.RLock()  # guards everything below; nothing is said while it is held
        self._failing: dict[Signal, tuple[str, Cause]] = {}
        self._dropped: Counter[Signal] = Counter()
        self._unsaid = False
        self._outage_said = False
        self._failing_since = 0.0
        self._said_at = -INTERVAL_S
        self._closing = False

    def failed(self, signal: Signal, endpoint: str, cause: Cause, items: int) -> None:
        """An export has failed for good, and `items` are lost."""
        with self._lock:
            self._add(signal, endpoint, cause, items)
        self._speak()

    def abandoned(self, signal: Signal, endpoint: str, cause: Cause, items: int) -> None:
        """The process ends, and `items` have not left it; `cause` is told where no failure was seen before."""
        with self._lock:
            self._add(signal, *self._failing.get(signal, (endpoint, cause)), items)

    def overflowed(self, signal: Signal, items: int) -> None:
        """The queue before an exporter is full, and `items` are lost."""
        with self._lock:
            self._dropped[signal] += items
            self._unsaid = True
        self._speak()

    def delivered(self, signal: Signal) -> None:
        """An export has succeeded."""
        if not self._failing or self._closing:
            return
        line = None
        with self._lock:
            self._failing.pop(signal, None)
            if not self._failing:
                line = self._recovery()
        if line is not None:
            self._say(line)

    def closing(self) -> None:
        """Say nothing until `close`."""
        self._closing = True

    def close(self) -> None:
        """The process ends: say what has not been said, unless a line went out within the last minute."""
        self._closing = False
        self._speak()
        self._closing = True

    def _add(self, signal: Signal, endpoint: str, cause: Cause, items: int) -> None:
        if not self._failing:
            self._failing_since = self._clock()
        self._failing[signal] = (endpoint, cause)
        self._dropped[signal] += items
        self._unsaid = True

    def _speak(self) -> None:
        with self._lock:
            now = self._clock()
            if self._closing or not self._unsaid or now - self._said_at < INTERVAL_S:
                return
            self._said_at = now
            self._unsaid = False
            line = self._outage() if self._failing else self._overflow()
        self._say(line)

    def _outage(self) -> str:
        self._outage_said = True
        places: dict[tuple[str, Cause], list[str]] = {}
        for signal, place in self._failing.items():
            places.setdefault(place, []).append(signal)
        told = [
            f"{', '.join(signals)} to {endpoint} failed ({cause.text}): {cause.remedy}"
            for (endpoint, cause), signals in places.items()
        ]
        return (
            f"otel-monitor: export of {'; of '.join(told)}. {self._losses()} dropped so far; your code keeps running, "
            "and failures are still detected here."
        )

    def _overflow(self) -> str:
        variables = [_QUEUE_SIZES[signal] for signal in self._dropped if signal in _QUEUE_SIZES]
        line = (
            f"otel-monitor: more telemetry is made than can be exported: {self._losses()} dropped. Raise "
            f"{' and '.join(variables)}, or sample (OTEL_TRACES_SAMPLER); your code keeps running."
        )
        self._dropped.clear()
        return line

    def _recovery(self) -> str | None:
        seconds = self._clock() - self._failing_since
        losses = self._losses()
        said, self._outage_said, self._unsaid = self._outage_said, False, False
        self._dropped.clear()
        return f"otel-monitor: export works again after {seconds:.0f} s; {losses} lost meanwhile." if said else None

    def _losses(self) -> str:
        told = [f"{count:,} {signal.item}{'s' * (count != 1)}" for signal, count in self._dropped.items() if count]
        return ", ".join(told) or "nothing"


def _warn(line: str) -> None:
    _logger.warning("%s", line)
