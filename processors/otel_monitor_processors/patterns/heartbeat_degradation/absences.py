"""Absences: workers that are silent, and those that their orchestrator has given up."""

from __future__ import annotations

import math
from typing import Any

from otel_monitor_processors.patterns.deadlines import Deadlines
from otel_monitor_processors.patterns.heartbeat_degradation.heartbeats import GIVEN_UP, SILENT, Fleet, Rhythm
from otel_monitor_processors.patterns.heartbeat_degradation.observers import is_failing, thinned, was_deaf
from otel_monitor_processors.patterns.heartbeat_degradation.pace import BEATS
from otel_monitor_processors.patterns.heartbeat_degradation.roster import HeartbeatRoster
from otel_monitor_processors.patterns.heartbeat_degradation.silences import Silences

LOST_SILENCE = 6.0
"""-log10 of the probability of a silence that leaves little doubt."""
_SUSPECT_SILENCE = 3.0
_GIVEN_UP = 9.0
_DOUBTED = 4.0
_BACK_WITHIN = 1.2
_UNKNOWN_USUAL_S = 2.0
_LOOK_AGAIN_S = 0.5
_DEAF_PATIENCE_S = 60.0
_DEAF_PATIENCE = 12.0
_DOUBT_S = 20.0
_DOUBT = 6.0
_FORGET_GIVEN_UP_S = 900.0
_FORGET_UNKNOWN_S = 300.0
_FORGET_SILENT_S = 180.0
_FORGET_SILENT = 20.0
_TIDY_EVERY_S = 5.0
_MARGIN_S = 2.0
_MARGIN = 1.3
_LATER_HALF = 0.5
_WORKS_AGAIN_S = 10.0


class Absences:
    """Judges silences by the fleet's own distribution, and by what else is known of whoever is silent."""

    def __init__(self, roster: HeartbeatRoster) -> None:
        self.silences = Silences()
        self.deadlines = Deadlines()
        self._roster = roster
        self._judges = False
        """Whether somebody is known to give workers up."""
        self._tidied = -math.inf

    # -- given up ---------------------------------------------------------------------------------------

    def give_up(self, worker: str, rhythm: Rhythm, at: float, fleet: Fleet) -> bool:
        """An orchestrator has given a worker up. True: nothing was known of that."""
        known = rhythm.lost_at is not None
        self._judges = True
        rhythm.lost_reason = GIVEN_UP
        if not known:
            rhythm.lost_at = at
            rhythm.doubted_at = min(rhythm.doubted_at, at)
            rhythm.silence = max(rhythm.silence, _DOUBTED)
            rhythm.beats.miss(at, BEATS, fleet[0])
            self._roster.sort(worker, rhythm)
        self._roster.lost[worker] = rhythm
        return not known

    def judge_failures(self, now: float, fleet: Fleet) -> None:
        """Workers that an observer's metrics do not name any more, when they say that it has given some up."""
        for name, observer in self._roster.observers.failing():
            at, count = observer.failures or (now, 0.0)
            if now <= at:
                continue
            observer.failures = None
            self._judges = True
            if observer.exported < at:
                continue
            gone = [
                (worker, rhythm)
                for worker, rhythm in self._roster.workers.items()
                if rhythm.observer == name and rhythm.aged_at == observer.previous and rhythm.left_at is None
            ]
            if len(gone) <= count:
                for worker, rhythm in gone:
                    self.give_up(worker, rhythm, now, fleet)

    def confirm(self, now: float) -> None:
        """A worker that was given up too early is back with its next heartbeat."""
        for rhythm in self._roster.lost.values():
            if rhythm.lost_reason == GIVEN_UP and rhythm.silence < _GIVEN_UP and rhythm.lost_at is not None:
                usual = rhythm.usual or _UNKNOWN_USUAL_S
                if now - rhythm.lost_at >= _BACK_WITHIN * usual:
                    rhythm.silence = _GIVEN_UP

    # -- silent -----------------------------------------------------------------------------------------

    def watch(self, worker: str, rhythm: Rhythm) -> None:
        """Look at a worker when its next heartbeat is overdue."""
        rhythm.watched = True
        self.deadlines.set(worker, rhythm.suspect_by())

    def judge(self, worker: str, rhythm: Rhythm, now: float, missing: float) -> None:
        """Put a worker where its silence belongs. `missing`: the share of heartbeats that are not seen at all."""
        rhythm.silence = self._silence(rhythm, now, missing)
        if rhythm.silence >= LOST_SILENCE and rhythm.lost_at is None:
            rhythm.lost_at = now
            rhythm.lost_reason = SILENT
        if rhythm.silence >= _SUSPECT_SILENCE:
            self._roster.lost[worker] = rhythm
        elif worker in self._roster.lost:
            rhythm.lost_at = None
            rhythm.silence = 0.0
            del self._roster.lost[worker]

    def _silence(self, rhythm: Rhythm, now: float, missing: float) -> float:
        """How improbable it is that nothing has been heard of a worker for so long, by chance."""
        observer = self._roster.observers.find(rhythm.observer)
        since = rhythm.heard if observer is None else max(rhythm.heard, observer.deaf_to)
        p = self.silences.log10_p(now - since, rhythm.usual, missing)
        return max(0.0, -p - math.log10(self._roster.active()))

    def listen(self, now: float, fleet: Fleet) -> None:
        """Look at everybody whose heartbeat is overdue."""
        deaf: dict[str, bool] = {}
        missing: dict[str, float] = {}
        for worker in [*self.deadlines.due(now)]:
            rhythm = self._roster.workers.get(worker)
            if rhythm is None:
                continue
            if now < rhythm.suspect_by():
                self.deadlines.set(worker, rhythm.suspect_by())
                continue
            if rhythm.left_at is not None or rhythm.lost_reason == GIVEN_UP or is_gone(rhythm, now):
                rhythm.watched = False  # its next heartbeat sets a new deadline
                if rhythm.left_at is None and rhythm.lost_reason != GIVEN_UP:
                    self._roster.leave(worker, rhythm, now)
                continue
            self.deadlines.set(worker, now + max(_LOOK_AGAIN_S, 0.25 * rhythm.usual))
            rhythm.doubted_at = min(rhythm.doubted_at, now)
            if rhythm.is_recorded and not self._is_deaf(rhythm, now, deaf):
                name = rhythm.observer
                if name not in missing:
                    missing[name] = thinned(name, rhythm.last, self._roster.workers.values())
                self.judge(worker, rhythm, now, max(missing[name], fleet[0].missing))

    def _is_deaf(self, rhythm: Rhythm, now: float, known: dict[str, bool]) -> bool:
        """Whether a worker's observer has heard nobody since; then it takes patience."""
        if now - rhythm.last > max(_DEAF_PATIENCE_S, _DEAF_PATIENCE * rhythm.usual):
            return False
        name = rhythm.observer
        deaf = known.get(name)
        if deaf is None:
            observer = self._roster.observers.find(name)
            workers = self._roster.workers.values()
            deaf = observer is not None and (
                was_deaf(name, observer.last, now, workers) or is_failing(name, now, workers)
            )
            known[name] = deaf
        return deaf

    def in_doubt(self, now: float) -> set[str]:
        """Workers that were given up while their orchestrator heard nobody at all: that one may be what is ill."""
        deaf: dict[str, bool] = {}
        return {worker for worker, rhythm in self._roster.lost.items() if self._is_in_doubt(rhythm, now, deaf)}

    def _is_in_doubt(self, rhythm: Rhythm, now: float, deaf: dict[str, bool]) -> bool:
        lost_at, usual, name = rhythm.lost_at, rhythm.usual, rhythm.observer
        if lost_at is None or rhythm.lost_reason != GIVEN_UP or now - lost_at > max(_DOUBT_S, _DOUBT * usual):
            return False
        observer = self._roster.observers.find(name)
        again_at = observer.deaf_to if observer is not None else -math.inf
        if lost_at < again_at:  # it hears again, and this one has had no time yet to be heard
            return now - again_at < _BACK_WITHIN * (usual or _UNKNOWN_USUAL_S)
        if name not in deaf:
            deaf[name] = is_failing(name, now, self._roster.workers.values(), with_lost=True)
        return deaf[name]

    def kind(self, rhythm: Rhythm, now: float) -> str:
        """What sort of evidence there is for the loss of a worker.

        `lost`: it was given up. `gone`: its own telemetry has stopped as well. `mute`: it works on. `contradicted`:
        it is given work all the same, or nobody has given it up although somebody would. `silent`: no more is known.
        """
        if rhythm.lost_reason == GIVEN_UP:
            return "lost"
        signs, heard = rhythm.signs, rhythm.heard
        margin_s = max(_MARGIN_S, _MARGIN * rhythm.usual, _LATER_HALF * (now - heard))
        if signs is not None:
            if signs.wanted_at > heard + margin_s:
                return "contradicted"
            if signs.alive_at > heard + margin_s:
                return "contradicted" if self._judges else "mute"
            if signs.is_quiet(now):
                return "gone"
        return "contradicted" if self._judges else "silent"

    def tidy(self, now: float) -> None:
        """Who was given up long ago is not part of the fleet any more, and who is given work again is back."""
        if now - self._tidied < _TIDY_EVERY_S:
            return
        self._tidied = now
        for worker, rhythm in [*self._roster.lost.items()]:
            if rhythm.lost_reason != GIVEN_UP or rhythm.lost_at is None:
                if is_gone(rhythm, now):
                    self._roster.leave(worker, rhythm, now)
            elif _is_back(rhythm, rhythm.lost_at):
                self._roster.come(rhythm, now)
                self._roster.clear(worker)
            elif now - rhythm.lost_at > (_FORGET_GIVEN_UP_S if rhythm.usual else _FORGET_UNKNOWN_S):
                self._roster.leave(worker, rhythm, now)

    # -- state ------------------------------------------------------------------------------------------

    def reset(self) -> None:
        self.silences = Silences()
        self.deadlines.clear()
        self._judges = False
        self._tidied = -math.inf

    def dump(self) -> list[Any]:
        tidied = self._tidied if math.isfinite(self._tidied) else None
        return [self.silences.dump(), self.deadlines.dump(), self._judges, tidied]

    def load(self, state: list[Any]) -> None:
        silences, deadlines, self._judges, tidied = state
        self.silences = Silences.load(silences)
        self.deadlines.load([(at, name) for at, name in deadlines])
        for worker, rhythm in self._roster.workers.items():
            rhythm.watched = worker in self.deadlines
        self._tidied = -math.inf if tidied is None else tidied


def is_gone(rhythm: Rhythm, now: float) -> bool:
    """Whether a worker has been silent for so long that it will have left without a word."""
    return now - rhythm.heard > max(_FORGET_SILENT_S, _FORGET_SILENT * rhythm.usual)


def _is_back(rhythm: Rhythm, lost_at: float) -> bool:
    """Whether a worker that was given up is known to be there though no heartbeat says so: none may be recorded."""
    signs = rhythm.signs
    if signs is None:
        return False
    since = lost_at + _WORKS_AGAIN_S + 2.0 * rhythm.usual
    return signs.alive_at > since and (signs.wanted_at > since or not rhythm.usual)
