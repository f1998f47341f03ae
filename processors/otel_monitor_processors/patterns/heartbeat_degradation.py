"""Heartbeat degradation: workers whose heartbeats come late, come irregularly, or have stopped.

Two scopes: `late` for degraded rhythms, `lost` for workers that are silent beyond doubt or were given up by
their orchestrator. What befalls most workers of one observer at once is the observer's doing: it is blamed for
lateness, and while it hears nobody, nobody is lost.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from otel_monitor_processors.observation import Change, Heartbeat, Membership, MetricPoint
from otel_monitor_processors.patterns import heartbeat_wording
from otel_monitor_processors.patterns.calibration import Knots, interpolate
from otel_monitor_processors.patterns.deadlines import Deadlines
from otel_monitor_processors.patterns.finding import Finding, Gates, Interests
from otel_monitor_processors.patterns.heartbeat_wording import Said
from otel_monitor_processors.patterns.heartbeats import GIVEN_UP, SILENT, Fleet, Rhythm
from otel_monitor_processors.patterns.lateness import Habit
from otel_monitor_processors.patterns.observers import Observer, Observers, is_failing, was_deaf
from otel_monitor_processors.patterns.pace import BEATS
from otel_monitor_processors.patterns.silences import Silences
from otel_monitor_processors.patterns.verdict import Pattern

KNOTS: dict[str, Knots] = {
    "late": ((1.0, 0.05), (2.5, 0.2), (3.5, 0.4), (4.2, 0.55), (5.0, 0.85), (6.5, 0.95)),
    "silent": ((1.0, 0.01), (3.0, 0.1), (5.0, 0.4), (6.0, 0.8), (8.0, 0.95), (12.0, 0.99)),
    "lost": ((4.0, 0.3), (9.0, 0.92), (12.0, 0.97)),
}
"""Scores: of `late` log10 of the likelihood ratio, of the others -log10 of the probability of a silence; each less
log10 of the number of workers."""

_MAX_WORKERS = 10_000
_SUSPECT_NATS = 8.0
_CLEARED_NATS = 3.0
_SUSPECT_SILENCE = 3.0
_LOST_SILENCE = 6.0
_GIVEN_UP = 9.0
_DOUBTED = 4.0
_BACK_WITHIN = 1.2
_UNKNOWN_USUAL_S = 2.0
_LOOK_AGAIN_S = 0.5
_MIN_BEATS = 5
_DEAF_PATIENCE_S = 60.0
_DEAF_PATIENCE = 12.0
_FORGET_GIVEN_UP_S = 900.0
_FORGET_SILENT_S = 180.0
_FORGET_SILENT = 20.0
_TIDY_EVERY_S = 5.0
_LATE_BEAT_S = 2.0
_NOTICEABLE = 0.3
_WORKER_ID = "orchestrator.worker.id"


class HeartbeatDegradation:
    """Detects late, irregular and lost workers from the heartbeats that their observer receives.

    Args:
        gates: what it takes at least.
        memory: how many gaps of a worker to remember; more than forty tell no more.
    """

    pattern = Pattern.HEARTBEAT_DEGRADATION

    def __init__(self, gates: Gates | None = None, memory: int = 100) -> None:
        self.gates = gates or Gates()
        self._margin = BEATS._replace(kept=max(BEATS.least, min(memory, BEATS.kept)))
        self.dropped = 0
        self._workers: OrderedDict[str, Rhythm] = OrderedDict()
        self._observers = Observers()
        self._late: dict[str, Rhythm] = {}
        self._lost: dict[str, Rhythm] = {}
        self._left = 0
        self._deadlines = Deadlines()
        self._silences = Silences()
        self._habits: Fleet = Habit(), Habit(), Habit()
        self._tidied = -math.inf
        self._metrics: dict[str, Callable[[MetricPoint], bool]] = {
            "orchestrator.heartbeat.interval": self._interval,
            "orchestrator.heartbeat.age": self._age,
            "orchestrator.heartbeat.duration": self._answers,
            "orchestrator.worker.failures": self._failures,
        }

    def interests(self) -> Interests:
        """Heartbeats as their receiver saw them, changes of membership, and metrics about both."""
        return {Heartbeat: self._heartbeat, Membership: self._member, MetricPoint: self._metric}

    # -- heartbeats -------------------------------------------------------------------------------------

    def _heartbeat(self, heartbeat: Heartbeat) -> bool:
        worker, name, at = heartbeat.source, heartbeat.observer, heartbeat.at
        if worker == name or not heartbeat.ok:
            return False
        rhythm = self._workers.get(worker)
        if rhythm is None:
            self._add(worker, name, at)
            self._observer(name, at).last = at
            return False
        if rhythm.is_repeated(at):
            return False
        if rhythm.left_at is not None:
            if at < rhythm.left_at + _LATE_BEAT_S:
                return False
            self._come(rhythm, at)
        observer = self._hear(rhythm, name, at)
        usable = not observer.excuses(rhythm.last)
        was_lost = rhythm.lost_at is not None
        usual = rhythm.beats.usual
        if usable and usual > 0.0:
            self._silences.add((at - rhythm.last) / usual)
            self._habits[0].miss(rhythm.beats.missed(at - rhythm.last))
        news = rhythm.beat(at, usable, self._habits, self._margin)
        if was_lost or rhythm.silence:
            rhythm.resume(at)
            self._lost.pop(worker, None)
        self._workers.move_to_end(worker)
        if worker not in self._deadlines and rhythm.beats.count >= self._least_beats():
            self._deadlines.set(worker, rhythm.suspect_by())
        return was_lost or (news and self._sort(worker, rhythm))

    def _least_beats(self) -> int:
        return max(_MIN_BEATS, self.gates.min_events)

    def _hear(self, rhythm: Rhythm, name: str, at: float) -> Observer:
        """An observer has heard of a worker; whether it was deaf before that."""
        observer = self._observer(name, at)
        if at - observer.last > _NOTICEABLE * rhythm.beats.usual > 0.0 and was_deaf(
            name, observer.last, at, self._workers.values()
        ):
            observer.was_deaf(at, rhythm.beats.usual)
        observer.last = max(observer.last, at)
        rhythm.observer = name
        return observer

    def _observer(self, name: str, at: float) -> Observer:
        observer = self._observers.find(name)
        if observer is None:
            observer, kept = self._observers.add(name, at)
            self.dropped += not kept
        return observer

    def _add(self, worker: str, observer: str, at: float) -> Rhythm:
        if len(self._workers) >= _MAX_WORKERS:
            oldest, gone = self._workers.popitem(last=False)
            self._forget(oldest, gone)
            self.dropped += 1
        rhythm = Rhythm(observer, at)
        self._workers[worker] = rhythm
        return rhythm

    def _sort(self, worker: str, rhythm: Rhythm) -> bool:
        """Put a worker where its evidence belongs. True: it was elsewhere before."""
        evidence = rhythm.evidence
        if worker in self._late:
            if evidence < _CLEARED_NATS:
                del self._late[worker]
                return True
        elif evidence >= _SUSPECT_NATS:
            self._late[worker] = rhythm
            return True
        return False

    # -- membership -------------------------------------------------------------------------------------

    def _member(self, membership: Membership) -> bool:
        worker, at = membership.source, membership.at
        if worker == membership.observer:
            return False
        rhythm = self._workers.get(worker)
        if membership.change is Change.LEFT:
            return rhythm is not None and self._leave(worker, rhythm, at)
        if rhythm is None:
            rhythm = self._add(worker, membership.observer, at)
        if membership.change is Change.JOINED:
            self._come(rhythm, at)
            self._workers.move_to_end(worker)
            return self._lost.pop(worker, None) is not None
        rhythm.trace = membership.trace
        return self._give_up(worker, rhythm, at)

    def _leave(self, worker: str, rhythm: Rhythm, at: float) -> bool:
        known = worker in self._lost or worker in self._late
        self._left += rhythm.left_at is None
        rhythm.leave(at)
        self._lost.pop(worker, None)
        self._late.pop(worker, None)
        return known

    def _come(self, rhythm: Rhythm, at: float) -> None:
        self._left -= rhythm.left_at is not None
        rhythm.resume(at)

    def _give_up(self, worker: str, rhythm: Rhythm, at: float) -> bool:
        known = rhythm.lost_at is not None
        rhythm.lost_reason = GIVEN_UP
        if not known:
            rhythm.lost_at = at
            rhythm.silence = max(rhythm.silence, _DOUBTED)
            rhythm.beats.miss(at, BEATS, self._habits[0])
            self._sort(worker, rhythm)
        self._lost[worker] = rhythm
        return not known

    def _confirm(self, now: float) -> None:
        """A worker that was given up too early is back with its next heartbeat."""
        for rhythm in self._lost.values():
            if rhythm.lost_reason == GIVEN_UP and rhythm.silence < _GIVEN_UP and rhythm.lost_at is not None:
                usual = rhythm.usual or _UNKNOWN_USUAL_S
                if now - rhythm.lost_at >= _BACK_WITHIN * usual:
                    rhythm.silence = _GIVEN_UP

    def _forget(self, worker: str, rhythm: Rhythm) -> None:
        self._left -= rhythm.left_at is not None
        self._lost.pop(worker, None)
        self._late.pop(worker, None)

    # -- metrics ----------------------------------------------------------------------------------------

    def _metric(self, point: MetricPoint) -> bool:
        take = self._metrics.get(point.name)
        return take is not None and take(point)

    def _reported(self, point: MetricPoint) -> tuple[str, Rhythm | None]:
        """The worker that a point is about."""
        worker = next((value for name, value in point.attributes if name == _WORKER_ID), "")
        if not worker or worker == point.source:
            return worker, None
        rhythm = self._workers.get(worker)
        if rhythm is None:
            rhythm = self._add(worker, point.source, point.at)
        self._workers.move_to_end(worker)
        return worker, rhythm

    def _interval(self, point: MetricPoint) -> bool:
        worker, rhythm = self._reported(point)
        if rhythm is None or point.value <= 0.0:
            return False
        rhythm.observer = point.source
        return rhythm.report(point.at, point.value, self._habits) and self._sort(worker, rhythm)

    def _age(self, point: MetricPoint) -> bool:
        worker, rhythm = self._reported(point)
        if rhythm is None:
            return False
        if rhythm.left_at is not None:
            self._come(rhythm, point.at)
        self._observer(point.source, point.at).export(point.at)
        news = rhythm.age(point.at, point.value, self._habits) and self._sort(worker, rhythm)
        if rhythm.is_recorded:
            return news
        rhythm.observer = point.source
        known = rhythm.lost_at is not None
        rhythm.silence = self._silence(rhythm, point.at)
        self._judge(worker, rhythm, point.at)
        return news or known is not (rhythm.lost_at is not None)

    def _answers(self, point: MetricPoint) -> bool:
        rhythm = self._workers.get(point.source)
        if rhythm is None or not rhythm.usual:
            return False
        return rhythm.answer(point.at, point.value, self._habits) and self._sort(point.source, rhythm)

    def _failures(self, point: MetricPoint) -> bool:
        if point.value > 0.0:
            observer = self._observer(point.source, point.at)
            observer.failures = point.at, point.value
        return False

    def _judge_failures(self, now: float) -> None:
        """Workers that an observer's metrics do not name any more, when they say that it has given some up."""
        for name, observer in self._observers.failing():
            at, count = observer.failures or (now, 0.0)
            if now <= at:
                continue
            observer.failures = None
            if observer.exported < at:
                continue
            gone = [
                (worker, rhythm)
                for worker, rhythm in self._workers.items()
                if rhythm.observer == name and rhythm.aged_at == observer.previous and rhythm.left_at is None
            ]
            if len(gone) <= count:
                for worker, rhythm in gone:
                    self._give_up(worker, rhythm, now)

    # -- silence ----------------------------------------------------------------------------------------

    def _active(self) -> int:
        return max(1, len(self._workers) - self._left)

    def _silence(self, rhythm: Rhythm, now: float) -> float:
        """How improbable it is that nothing has been heard of a worker for so long, by chance."""
        observer = self._observers.find(rhythm.observer)
        since = rhythm.heard if observer is None else max(rhythm.heard, observer.deaf_to)
        p = self._silences.log10_p(now - since, rhythm.usual, self._habits[0].missing)
        return max(0.0, -p - math.log10(self._active()))

    def _judge(self, worker: str, rhythm: Rhythm, now: float) -> None:
        """Put a worker where its silence belongs."""
        if rhythm.silence >= _LOST_SILENCE and rhythm.lost_at is None:
            rhythm.lost_at = now
            rhythm.lost_reason = SILENT
        if rhythm.silence >= _SUSPECT_SILENCE:
            self._lost[worker] = rhythm
        elif worker in self._lost:
            rhythm.lost_at = None
            rhythm.silence = 0.0
            del self._lost[worker]

    def _judge_silences(self, now: float) -> None:
        deaf: dict[str, bool] = {}
        for worker in [*self._deadlines.due(now)]:
            rhythm = self._workers.get(worker)
            if rhythm is None or rhythm.left_at is not None or rhythm.lost_reason == GIVEN_UP:
                continue  # its next heartbeat sets a new deadline
            if now < rhythm.suspect_by():
                self._deadlines.set(worker, rhythm.suspect_by())
                continue
            if self._is_gone(rhythm, now):
                self._leave(worker, rhythm, now)
                continue
            self._deadlines.set(worker, now + max(_LOOK_AGAIN_S, 0.25 * rhythm.usual))
            if rhythm.is_recorded and not self._is_deaf(rhythm, now, deaf):
                rhythm.silence = self._silence(rhythm, now)
                self._judge(worker, rhythm, now)

    def _is_deaf(self, rhythm: Rhythm, now: float, known: dict[str, bool]) -> bool:
        """Whether a worker's observer has heard nobody since; then it takes patience."""
        if now - rhythm.last > max(_DEAF_PATIENCE_S, _DEAF_PATIENCE * rhythm.usual):
            return False
        name = rhythm.observer
        deaf = known.get(name)
        if deaf is None:
            observer = self._observers.find(name)
            workers = self._workers.values()
            deaf = observer is not None and (
                was_deaf(name, observer.last, now, workers) or is_failing(name, now, workers)
            )
            known[name] = deaf
        return deaf

    def pause(self, gap_s: float) -> None:
        """Nobody was there to receive: every silence is shorter by the pause."""
        for rhythm in self._workers.values():
            rhythm.last += gap_s  # deadlines set before it are looked at too early, and set anew
        self._observers.pause(gap_s)

    def _tidy(self, now: float) -> None:
        """Who was given up long ago is not part of the fleet any more."""
        self._tidied = now
        for worker, rhythm in [*self._lost.items()]:
            if rhythm.lost_reason == GIVEN_UP and rhythm.lost_at is not None:
                over = now - rhythm.lost_at > _FORGET_GIVEN_UP_S
            else:
                over = self._is_gone(rhythm, now)
            if over:
                self._leave(worker, rhythm, now)

    def _is_gone(self, rhythm: Rhythm, now: float) -> bool:
        """Whether a worker has been silent for so long that it will have left without a word."""
        return now - rhythm.heard > max(_FORGET_SILENT_S, _FORGET_SILENT * rhythm.usual)

    # -- findings ---------------------------------------------------------------------------------------

    def findings(self, now: float) -> Iterable[Finding]:
        """Judge the silences at `now`, then say who is lost and who is late."""
        if not self.gates.enabled:
            return
        self._judge_silences(now)
        self._judge_failures(now)
        if self._lost:
            self._confirm(now)
        if now - self._tidied >= _TIDY_EVERY_S:
            self._tidy(now)
        lost = {worker: rhythm for worker, rhythm in self._lost.items() if rhythm.lost_at is not None} or self._lost
        if lost and self._enough(len(lost)):
            said = heartbeat_wording.of_lost(lost, self._active(), now)
            yield self._found(said, KNOTS[said.kind])
        if self._late and self._enough(len(self._late)):
            said = heartbeat_wording.of_late(self._late, self._workers.values(), self._active(), now)
            yield self._found(said, KNOTS[said.kind])

    def _enough(self, count: int) -> bool:
        return count >= max(1.0, self.gates.failure_rate_threshold * self._active())

    def _found(self, said: Said, knots: Knots) -> Finding:
        return Finding(
            pattern=self.pattern,
            scope=said.scope,
            confidence=interpolate(knots, said.score),
            sources=said.sources,
            root=said.root,
            summary=said.summary,
            window_s=self.gates.time_window_s,
            explains=frozenset(said.sources) if said.kind == "late" else frozenset(),
            sure=True,
            kind=said.kind,
            score=said.score,
            evidence=said.evidence,
            traces=said.traces,
        )

    # -- state ------------------------------------------------------------------------------------------

    def reset(self) -> None:
        self._workers.clear()
        self._observers.clear()
        self._lost.clear()
        self._late.clear()
        self._deadlines.clear()
        self._silences = Silences()
        self._habits = Habit(), Habit(), Habit()
        self.dropped = self._left = 0
        self._tidied = -math.inf

    def dump(self) -> dict[str, Any]:
        return {
            "dropped": self.dropped,
            "deadlines": self._deadlines.dump(),
            "observers": self._observers.dump(),
            "silences": self._silences.dump(),
            "habits": [habit.dump() for habit in self._habits],
            "tidied": self._tidied if math.isfinite(self._tidied) else None,
            "workers": [[worker, rhythm.dump()] for worker, rhythm in self._workers.items()],
            "lost": list(self._lost),
            "late": list(self._late),
        }

    def load(self, state: dict[str, Any]) -> None:
        self.reset()
        self.dropped = state["dropped"]
        self._deadlines.load(state["deadlines"])
        self._observers.load(state["observers"])
        self._silences = Silences.load(state["silences"])
        beats, means, answers = (Habit.load(habit) for habit in state["habits"])
        self._habits = beats, means, answers
        self._tidied = -math.inf if state["tidied"] is None else state["tidied"]
        for worker, item in state["workers"]:
            rhythm = self._workers[worker] = Rhythm.load(item)
            self._left += rhythm.left_at is not None
        self._lost = {worker: self._workers[worker] for worker in state["lost"]}
        self._late = {worker: self._workers[worker] for worker in state["late"]}
