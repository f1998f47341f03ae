"""Heartbeat degradation: workers whose heartbeats come late, come irregularly, or have stopped.

Two scopes: `late` for degraded rhythms and for pauses that are over, `lost` for workers that are silent beyond doubt
or were given up by their orchestrator. What befalls most workers of one observer at once is the observer's doing: it
is blamed for lateness, and while it hears nobody, nobody is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from otel_monitor_processors.observation import Change, Heartbeat, Membership, MetricPoint
from otel_monitor_processors.patterns.calibration import Knots, interpolate
from otel_monitor_processors.patterns.finding import Finding, Gates, Interests
from otel_monitor_processors.patterns.heartbeat_degradation import wording
from otel_monitor_processors.patterns.heartbeat_degradation.absences import Absences
from otel_monitor_processors.patterns.heartbeat_degradation.heartbeats import Fleet, Rhythm
from otel_monitor_processors.patterns.heartbeat_degradation.lateness import Habit
from otel_monitor_processors.patterns.heartbeat_degradation.metrics import HeartbeatMetrics
from otel_monitor_processors.patterns.heartbeat_degradation.observers import Observer, was_deaf
from otel_monitor_processors.patterns.heartbeat_degradation.pace import BEATS
from otel_monitor_processors.patterns.heartbeat_degradation.pauses import Pauses, went_on_before
from otel_monitor_processors.patterns.heartbeat_degradation.roster import HeartbeatRoster
from otel_monitor_processors.patterns.heartbeat_degradation.vital_signs import VitalSigns
from otel_monitor_processors.patterns.heartbeat_degradation.wording import Said
from otel_monitor_processors.patterns.verdict import Pattern

KNOTS: dict[str, Knots] = {
    "late": ((1.0, 0.01), (2.5, 0.12), (3.5, 0.35), (4.2, 0.57), (5.0, 0.7), (6.5, 0.92)),
    "lagging": ((1.0, 0.03), (2.5, 0.15), (4.0, 0.5), (5.0, 0.7), (6.5, 0.85)),
    "lost": ((4.0, 0.3), (9.0, 0.92), (12.0, 0.97)),
    "gone": ((1.0, 0.01), (3.0, 0.1), (5.0, 0.4), (6.0, 0.8), (8.0, 0.95), (12.0, 0.99)),
    "silent": ((1.0, 0.01), (3.0, 0.08), (5.0, 0.3), (6.0, 0.55), (8.0, 0.85), (12.0, 0.95)),
    "mute": ((3.0, 0.03), (6.0, 0.15), (9.0, 0.35), (12.0, 0.55), (16.0, 0.75), (24.0, 0.85)),
    "contradicted": ((3.0, 0.02), (6.0, 0.1), (12.0, 0.25), (24.0, 0.4)),
    "paused": ((3.0, 0.3), (6.0, 0.7), (9.0, 0.9)),
}
"""Scores: of `late` and `lagging` log10 of the likelihood ratio, of the others -log10 of the probability of a silence;
each less log10 of the number of workers. The kinds of silence are those of `Absences.kind`."""

_UNSETTLED = 0.25
"""A loss is not announced before it has lasted a little: it may follow from something that is about to be seen."""
_SETTLE_S = 1.6
_OPEN_AT = 0.5
_MIN_BEATS = 5
_LATE_BEAT_S = 2.0
_NOTICEABLE = 0.3


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
        self._roster = HeartbeatRoster()
        self._absences = Absences(self._roster)
        self._metrics = HeartbeatMetrics(self._roster, self._absences)
        self._pauses = Pauses()
        self._habits: Fleet = Habit(), Habit(), Habit(), Habit()
        self._registers = False
        """Whether registrations are recorded here at all."""

    @property
    def dropped(self) -> int:
        return self._roster.dropped

    @dropped.setter
    def dropped(self, value: int) -> None:
        self._roster.dropped = value

    def interests(self) -> Interests:
        """Heartbeats as their receiver saw them, changes of membership, metrics about both, and signs of life."""
        return {
            Heartbeat: self._heartbeat,
            Membership: self._member,
            MetricPoint: self._metric,
            **VitalSigns(self._roster).interests(),
        }

    # -- heartbeats -------------------------------------------------------------------------------------

    def _heartbeat(self, heartbeat: Heartbeat) -> bool:
        at, worker, name, ok, _, _ = heartbeat
        if worker == name:
            return self._own(heartbeat)
        rhythm = self._roster.workers.get(worker)
        if rhythm is None or not ok:
            if ok:
                self._roster.add(worker, name, at)
                self._roster.observer(name, at).last = at
            return False
        if rhythm.is_repeated(at):
            return False
        if rhythm.left_at is not None:
            if at < rhythm.left_at + _LATE_BEAT_S:
                return False
            self._roster.come(rhythm, at)
        was_lost = rhythm.lost_at is not None
        usable = not self._hear(rhythm, name, at).excuses(rhythm.last)
        if usable:
            self._absences.silences.add(at - rhythm.last, rhythm.beats.usual)
            self._habits[0].miss(rhythm.beats.missed(at - rhythm.last))
        if rhythm.doubted_at <= at:
            self._back(worker, rhythm, at)
        news = rhythm.beat(at, usable, self._habits, self._margin)
        self._roster.touch(worker)
        if not rhythm.watched and rhythm.beats.count >= self._least_beats():
            self._absences.watch(worker, rhythm)
        return was_lost or (news and self._roster.sort(worker, rhythm))

    def _back(self, worker: str, rhythm: Rhythm, at: float) -> None:
        """A worker that was missed goes on."""
        if rhythm.told:
            self._pauses.end(worker, rhythm, at, registers=self._registers)
        self._roster.lost.pop(worker, None)
        rhythm.clear()

    def _own(self, heartbeat: Heartbeat) -> bool:
        """A worker's own account: that it lives, and if the heartbeat was answered, that it was heard."""
        worker = heartbeat.source
        rhythm = self._roster.workers.get(worker)
        is_call = heartbeat.trace is not None or heartbeat.duration_s > 0.0
        if is_call:
            self._pauses.note_own(worker)
        if rhythm is not None:
            rhythm.lives(heartbeat.at)
            if is_call and heartbeat.ok:
                rhythm.answered_at = max(rhythm.answered_at, heartbeat.at)
        return False

    def _least_beats(self) -> int:
        return max(_MIN_BEATS, self.gates.min_events)

    def _hear(self, rhythm: Rhythm, name: str, at: float) -> Observer:
        """An observer has heard of a worker; whether it was deaf before that."""
        observer = self._roster.observer(name, at)
        if at - observer.last > _NOTICEABLE * rhythm.beats.usual > 0.0 and was_deaf(
            name, observer.last, at, self._roster.workers.values()
        ):
            observer.was_deaf(at, rhythm.beats.usual)
        if at > observer.last:
            observer.last = at
        rhythm.observer = name
        return observer

    # -- membership -------------------------------------------------------------------------------------

    def _member(self, membership: Membership) -> bool:
        worker, at = membership.source, membership.at
        rhythm = self._roster.workers.get(worker)
        if worker == membership.observer:
            return False
        if membership.change is Change.LEFT:
            return rhythm is not None and self._roster.leave(worker, rhythm, at)
        rhythm = self._roster.find_or_add(worker, membership.observer, at)
        if membership.change is Change.LOST:
            rhythm.trace = membership.trace
            return self._absences.give_up(worker, rhythm, at, self._habits)
        self._registers = True
        if rhythm.told and went_on_before(rhythm, at):
            self._pauses.end(worker, rhythm, at, registers=True)
        self._roster.come(rhythm, at)
        return self._roster.lost.pop(worker, None) is not None

    # -- metrics ----------------------------------------------------------------------------------------

    def _metric(self, point: MetricPoint) -> bool:
        return self._metrics.take(point, self._habits)

    # -- findings ---------------------------------------------------------------------------------------

    def findings(self, now: float) -> Iterable[Finding]:
        """Judge the silences at `now`, then say who is lost and who is late."""
        if not self.gates.enabled:
            return
        self._absences.listen(now, self._habits)
        self._absences.judge_failures(now, self._habits)
        if self._roster.lost:
            self._absences.confirm(now)
            self._absences.tidy(now)
        if self._roster.lost:
            yield from self._lost(now)
        yield from self._late(now)

    def _lost(self, now: float) -> Iterator[Finding]:
        judged: dict[str, tuple[float, str]] = {}
        in_doubt = self._absences.in_doubt(now)
        for worker, rhythm in self._roster.lost.items():
            kind = self._absences.kind(rhythm, now)
            confidence = interpolate(KNOTS[kind], rhythm.silence)
            if now - rhythm.doubted_at < _SETTLE_S or worker in in_doubt:
                confidence = min(_UNSETTLED, confidence)
            rhythm.told |= confidence >= _OPEN_AT
            judged[worker] = confidence, kind
        best = max(confidence for confidence, _ in judged.values())
        named = {
            worker: self._roster.lost[worker]
            for worker, (confidence, _) in judged.items()
            if confidence >= min(_OPEN_AT, best)
        }
        if self._enough(len(named)):
            strongest = max(named, key=lambda worker: (judged[worker][0], named[worker].silence))
            kind = judged[strongest][1]
            yield self._found(wording.of_lost(named, strongest, kind, self._roster.active(), now), best)

    def _late(self, now: float) -> Iterator[Finding]:
        late = self._roster.late_by_themselves()
        said = None
        if late and self._enough(len(late)):
            said = wording.of_late(late, self._roster.workers.values(), self._roster.active(), now)
        pauses = self._pauses.told(now)
        if pauses:
            said = wording.of_pauses(pauses, said)
        if said is not None:
            yield self._found(said, interpolate(KNOTS[said.kind], said.score))

    def _enough(self, count: int) -> bool:
        return count >= max(1.0, self.gates.failure_rate_threshold * self._roster.active())

    def _found(self, said: Said, confidence: float) -> Finding:
        return Finding(
            pattern=self.pattern,
            scope=said.scope,
            confidence=confidence,
            sources=said.sources,
            root=said.root,
            summary=said.summary,
            window_s=self.gates.time_window_s,
            explains=frozenset(said.sources) if said.scope == "late" else frozenset(),
            sure=True,
            kind=said.kind,
            score=said.score,
            evidence=said.evidence,
            traces=said.traces,
        )

    # -- state ------------------------------------------------------------------------------------------

    def pause(self, gap_s: float) -> None:
        """Nobody was there to receive: every silence is shorter by the pause."""
        self._roster.pause(gap_s)  # deadlines set before it are looked at too early, and set anew
        if not self._roster.workers:
            self._pauses.stood(gap_s)

    def reset(self) -> None:
        self._roster.reset()
        self._absences.reset()
        self._pauses.reset()
        self._habits = Habit(), Habit(), Habit(), Habit()
        self._registers = False

    def dump(self) -> dict[str, Any]:
        return {
            "roster": self._roster.dump(),
            "absences": self._absences.dump(),
            "pauses": self._pauses.dump(),
            "habits": [habit.dump() for habit in self._habits],
            "registers": self._registers,
        }

    def load(self, state: dict[str, Any]) -> None:
        self.reset()
        self._roster.load(state["roster"])
        self._absences.load(state["absences"])
        self._pauses.load(state["pauses"])
        beats, means, answers, lags = (Habit.load(habit) for habit in state["habits"])
        self._habits = beats, means, answers, lags
        self._registers = state["registers"]
