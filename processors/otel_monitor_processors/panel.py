"""The detectors of one engine, each kept apart from the faults of the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from otel_monitor_processors import guard
from otel_monitor_processors.patterns.finding import Detector, Finding
from otel_monitor_processors.patterns.verdict import Pattern

FAILURES_ALLOWED = 3
"""A detector that fails more often within `FAILURES_WITHIN_S` of event time is switched off."""
FAILURES_WITHIN_S = 3_600.0
_MAX_TOLD = 64

Take = Callable[[Any], bool | None]


class DetectorFailure(NamedTuple):
    """A detector has raised `error`: it has started anew, or was switched off."""

    pattern: Pattern
    error: Exception
    switched_off: bool

    def __str__(self) -> str:
        what = "switched off, as it keeps failing" if self.switched_off else "it starts anew"
        return f"the detector of {self.pattern} failed ({type(self.error).__name__}: {self.error}); {what}"


class Panel:
    """Asks every detector, and goes on with the others when one raises.

    A detector that has raised may have half a state: it forgets everything and starts anew, and is switched off
    when it keeps raising. Whoever drives the engine learns of it from `take_failures`. Under tests, and where the
    exception is one of the application's own signal handlers', it passes (`guard.passes`).

    Args:
        detectors: all there are.
        changed: called when their `takes` have to be asked for anew.
    """

    def __init__(self, detectors: Sequence[Detector], changed: Callable[[], None]) -> None:
        self._all = tuple(detectors)
        self._working: tuple[Detector, ...] = self._all
        self._changed = changed
        self._failed_at: dict[Pattern, list[float]] = {}
        self._told: list[DetectorFailure] = []
        self._takes: list[tuple[type[Any], Take, Detector]] = []

    def takes(self) -> list[tuple[type[Any], Take]]:
        """What the working detectors want to see, and the methods that take it in."""
        self._takes = [(kind, take, one) for one in self._working for kind, take in one.interests().items()]
        return [(kind, take) for kind, take, _ in self._takes]

    def blame(self, take: Take, error: Exception, at: float) -> bool:
        """`take` has raised `error`: whether that was a detector's, and is dealt with."""
        detector = next((one for _, known, one in self._takes if known is take), None)
        if detector is None or guard.passes(error):
            return False
        self._failed(detector, error, at)
        return True

    def findings(self, at: float) -> list[Finding]:
        """What all of them find at `at`."""
        found: list[Finding] = []
        for detector in self._working:
            try:
                found += list(detector.findings(at))
            except Exception as error:
                if guard.passes(error):
                    raise
                self._failed(detector, error, at)
        return found

    def pause(self, gap_s: float, at: float) -> None:
        """The observer stood still for `gap_s` seconds."""
        for detector in self._working:
            try:
                detector.pause(gap_s)
            except Exception as error:
                if guard.passes(error):
                    raise
                self._failed(detector, error, at)

    def take_failures(self) -> list[DetectorFailure]:
        """The failures since the last call, at most 64 of them."""
        told, self._told = self._told, []
        return told

    @property
    def dropped(self) -> int:
        return sum(detector.dropped for detector in self._all)

    def _failed(self, detector: Detector, error: Exception, at: float) -> None:
        pattern = detector.pattern
        times = [then for then in self._failed_at.get(pattern, ()) if at - then < FAILURES_WITHIN_S] + [at]
        self._failed_at[pattern] = times
        switched_off = len(times) > FAILURES_ALLOWED or not _starts_anew(detector)
        if switched_off:
            self._working = tuple(one for one in self._working if one is not detector)
        if len(self._told) < _MAX_TOLD:
            self._told.append(DetectorFailure(pattern, error, switched_off))
        self._changed()

    # -- state ------------------------------------------------------------------------------------------

    def reset(self) -> None:
        """Every detector forgets everything; those that were switched off get another chance."""
        self._working = self._all
        self._failed_at.clear()
        for detector in self._all:
            detector.reset()

    def dump(self) -> dict[str, Any]:
        return {
            "detectors": {detector.pattern: detector.dump() for detector in self._all},
            "switched_off": [detector.pattern for detector in self._all if detector not in self._working],
            "failed_at": {pattern: list(times) for pattern, times in self._failed_at.items()},
        }

    def load(self, state: dict[str, Any]) -> None:
        self.reset()
        for detector in self._all:
            detector.load(state["detectors"][detector.pattern])
        self._working = tuple(detector for detector in self._all if detector.pattern not in state["switched_off"])
        self._failed_at = {Pattern(pattern): list(times) for pattern, times in state["failed_at"].items()}


def _starts_anew(detector: Detector) -> bool:
    try:
        detector.reset()
    except Exception as error:
        if guard.passes(error):
            raise
        return False
    return True
