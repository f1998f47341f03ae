"""Pauses: workers that were silent and go on as if nothing had been, and this process if it stood still itself."""

from __future__ import annotations

from typing import Any, NamedTuple

from otel_monitor_processors.patterns.heartbeat_degradation.heartbeats import Rhythm

_TOLD_FOR_S = 30.0
_STOOD_TOLD_FOR_S = 60.0
_EARLY_S = 1.5
_MAX_PAUSES = 100
_MARGIN_S = 2.0
_MARGIN = 1.3
_MOST = 0.5


class Pause(NamedTuple):
    """A silence that is over.

    `worked_on` tells whether the worker's own telemetry went on meanwhile, None where that is not known; `score` how
    improbable the silence was. `itself`: it was this process that stood still.
    """

    worker: str
    ended_at: float
    silent_s: float
    worked_on: bool | None
    score: float
    registers: bool = True
    itself: bool = False

    def __str__(self) -> str:
        if self.itself:
            return f"this process stood still for {self.silent_s:.1f} s"
        return f"{self.worker} was silent for {self.silent_s:.1f} s and goes on: {self._why}"

    @property
    def _why(self) -> str:
        if self.worked_on:
            return "it worked on, and was cut off or could not say so (a blocked loop or thread)"
        if self.worked_on is None:
            restarted = "" if self.registers else ", or restarted"
            return f"paused (a stopped process, a frozen machine) or cut off{restarted}"
        return "paused (a stopped process, a frozen machine)"


class Pauses:
    """The pauses that have just ended; at most a hundred."""

    def __init__(self) -> None:
        self._ended: dict[str, Pause] = {}
        self._own: dict[str, None] = {}
        """Who tells of heartbeats of its own: if that is one alone, it is this process."""
        self._stood_s = 0.0
        self._now = 0.0

    def note_own(self, source: str) -> None:
        """A source has told of a heartbeat that it has sent itself."""
        if len(self._own) < 2:
            self._own[source] = None

    def stood(self, gap_s: float) -> None:
        """Whoever looks at this stood still."""
        if len(self._own) == 1:
            self._stood_s = gap_s

    def end(self, worker: str, rhythm: Rhythm, at: float, *, registers: bool) -> None:
        """A worker that was taken for lost goes on."""
        if len(self._ended) < _MAX_PAUSES:
            silent_s = at - rhythm.heard
            worked_on = _worked_on(rhythm, at)
            self._ended[worker] = Pause(worker, at, silent_s, worked_on, rhythm.silence, registers)

    def told(self, now: float) -> list[Pause]:
        """What is still worth saying, by name."""
        if not self._stood_s:
            self._now = now
        elif now >= self._now + self._stood_s - _EARLY_S:  # what was missed meanwhile is looked at first
            for source in self._own:
                self._ended[source] = Pause(source, now, self._stood_s, None, self._stood_s, itself=True)
            self._stood_s = 0.0
        for worker, pause in [*self._ended.items()]:
            if now - pause.ended_at > (_STOOD_TOLD_FOR_S if pause.itself else _TOLD_FOR_S):
                del self._ended[worker]
        return sorted(self._ended.values())

    def forget(self, worker: str) -> None:
        """It is silent again."""
        self._ended.pop(worker, None)

    def reset(self) -> None:
        self._ended.clear()
        self._own.clear()
        self._stood_s = self._now = 0.0

    def dump(self) -> list[Any]:
        return [[list(pause) for pause in self._ended.values()], list(self._own), self._stood_s, self._now]

    def load(self, state: list[Any]) -> None:
        ended, own, self._stood_s, self._now = state
        self._ended = {item[0]: Pause(*item) for item in ended}
        self._own = dict.fromkeys(own)


def went_on_before(rhythm: Rhythm, at: float) -> bool:
    """Whether a worker that registers at `at` said something before: it is the same process then, and not a new one."""
    signs = rhythm.signs
    return signs is not None and rhythm.heard + _margin_s(rhythm) < signs.alive_at < at


def _worked_on(rhythm: Rhythm, at: float) -> bool | None:
    signs, heard = rhythm.signs, rhythm.heard
    if signs is None:
        return None
    began, ended = (signs.alive_at, at) if signs.is_quiet(at) else signs.hole
    if min(at, ended) - max(heard, began) > _MOST * (at - heard):
        return False
    return True if signs.alive_at > heard + _margin_s(rhythm) else None


def _margin_s(rhythm: Rhythm) -> float:
    return max(_MARGIN_S, _MARGIN * rhythm.usual)
