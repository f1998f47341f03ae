"""Losses: workers that die, as others and their own silence tell of it."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Any

from otel_monitor_processors.observation import Assignment
from otel_monitor_processors.patterns.cascading_failures.death_register import DeathRegister
from otel_monitor_processors.patterns.cascading_failures.deaths import MISTAKES_S, Chain, Death, rarity, steps_of
from otel_monitor_processors.patterns.cascading_failures.handovers import Handovers
from otel_monitor_processors.patterns.cascading_failures.lives import MISSED, QUIET, SHORTEST_S, Life
from otel_monitor_processors.patterns.cascading_failures.relapses import Relapses
from otel_monitor_processors.patterns.cascading_failures.toll import Toll
from otel_monitor_processors.patterns.deadlines import Deadlines

_MAX_WORKERS = 10_000
_MAX_DEATHS = 256
_LONGEST_GAP_S = 150.0
_LONGEST_GAP = 8.0
"""A heartbeat longer ago than this, in seconds and in intervals, does not tell when a worker died."""
_FRESH_S = 90.0
_PER_TASK = 1.5
_CERTAIN = 0.5
_JUST_NOW_S = 1.2
_MISSES = 2
_PACES = 4.0
_UNREACHED_S = 8.0
_LOOP = 3
_FINE_S = 3.0
_MISSING_APART_S = 1.0
_SOON_S = 10.0
_SHORTEST_BREAK_S = 6.0
_BREAK = 2.5


class Losses:
    """Keeps the lives of workers, and their deaths."""

    def __init__(self) -> None:
        self._evicted = 0
        self._lives: OrderedDict[str, Life] = OrderedDict()
        self._silences = Deadlines()
        self.unreached: set[str] = set()
        """Peers that somebody has failed to reach, and nobody has reached since."""
        self._handovers = Handovers()
        self._relapses = Relapses()
        self._register = DeathRegister()
        self._missing: deque[float] = deque(maxlen=_MAX_DEATHS)
        self._toll = Toll()

    @property
    def dropped(self) -> int:
        return self._evicted + self._handovers.dropped + self._register.dropped

    def _life(self, worker: str) -> Life:
        life = self._lives.get(worker)
        if life is None:
            if len(self._lives) >= _MAX_WORKERS:
                self._lives.popitem(last=False)
                self._evicted += 1
            life = self._lives[worker] = Life()
        return life

    def beat(self, worker: str, at: float) -> None:
        """A heartbeat has come."""
        life = self._life(worker)
        before = life.beat_at
        if at <= before:
            return
        life.beat_at = at
        if worker in self._register.dead:
            if life.gap.mean < _FINE_S and at - self._register.died_at.get(worker, 0.0) < min(
                _SOON_S, 2.0 * life.patience_s
            ):
                self._register.revoke(worker, at)
            self._register.dead.pop(worker, None)
        elif before:
            life.gap.add(at - before)
        if worker not in self._silences and life.patience_s:
            self._silences.set(worker, at + life.patience_s)

    def told(self, worker: str, interval_s: float) -> None:
        """Somebody who receives its heartbeats has told how often they come."""
        if worker in self._lives:
            self._lives[worker].told_s = interval_s

    def aged(self, worker: str, at: float, age_s: float) -> None:
        """Somebody has told how long ago the last heartbeat was: too long, and it is missed."""
        life = self._lives.get(worker)
        if life is None or not life.told_s or age_s <= max(SHORTEST_S, MISSED * life.told_s):
            return
        last_at = at - age_s
        if worker not in self._register.dead and life.seen_at <= last_at + 1.0 + MISSED * life.told_s:
            self._died(Death(last_at, worker, at, True, at, life.told_s))

    def works(self, source: str) -> None:
        """A source has processed a task."""
        self._life(source).works = True

    def exports(self, source: str, at: float) -> None:
        self._life(source)
        self.seen(source, at)

    def seen(self, source: str, at: float) -> None:
        """Something of its own has come from a source; only known workers matter."""
        life = self._lives.get(source)
        if life is None:
            return
        gap_s = at - life.seen_at
        if gap_s <= 0.0:
            return
        if (gap_s <= SHORTEST_S or gap_s <= QUIET * life.pace_s) and source not in self._register.died_at:
            if source not in self._register.dead:
                life.pace(gap_s)
        else:
            self._seen_again(source, life, at)
        life.seen_at = at

    def _seen_again(self, source: str, life: Life, at: float) -> None:
        """A source is heard of after a silence, or after its death."""
        silent_s = at - self._register.died_at.get(source, at)
        if 1.0 + life.pace_s < silent_s <= max(_SHORTEST_BREAK_S, _BREAK * life.pace_s):
            self._register.revoke(source, at)
        if life.seen_at:
            gap_s = at - life.seen_at
            if life.pace_s and gap_s > max(SHORTEST_S, QUIET * life.pace_s):
                life.quiet_from = life.seen_at
            elif source not in self._register.dead:
                life.pace(gap_s)

    def reached(self, peer: str) -> None:
        """Somebody has reached a peer that others had not."""
        life = self._lives.get(peer)
        if life is not None:
            life.misses = 0
        self.unreached.discard(peer)

    def missed(self, peer: str, at: float, *, known: bool) -> None:
        """Somebody has failed to reach a peer; `known` if it is a source itself."""
        life = self._lives.get(peer)
        if life is None:
            if not known:
                return
            life = self._life(peer)
        if not life.misses:
            life.missed_since = at
        life.misses += 1
        life.missed_at = max(life.missed_at, at)
        if len(self.unreached) < _MAX_WORKERS:
            self.unreached.add(peer)
        if life.misses == _MISSES and peer not in self._silences:
            self._silences.set(peer, at)

    def missing(self, at: float) -> None:
        """An orchestrator has failed to reach some worker; what comes within a second is one such failure."""
        if not self._missing or at - self._missing[-1] > _MISSING_APART_S:
            self._missing.append(at)

    def counted(self, at: float, failures: int) -> None:
        """So many workers have been given up since the last time."""
        self._toll.add(at, failures)

    def lost(self, worker: str, at: float) -> None:
        """An orchestrator has given up a worker."""
        life = self._life(worker)
        silent_s, usual_s = at - life.beat_at, life.gap.mean
        is_fine = life.is_regular and 2.5 * usual_s <= silent_s < max(_LONGEST_GAP_S, _LONGEST_GAP * usual_s)
        if at - _JUST_NOW_S < life.seen_at <= at or (is_fine and self._is_alive(life, at)):
            self._register.mistaken(at)
            return
        died_at = life.beat_at if is_fine else at - MISSED * life.told_s
        self._died(Death(died_at, worker, at, True, at, life.interval_s))

    def back(self, worker: str, at: float) -> None:
        """A worker has registered."""
        if worker in self._register.dead:
            del self._register.dead[worker]
        elif (life := self._lives.get(worker)) is not None and at - life.seen_at > max(SHORTEST_S, QUIET * life.pace_s):
            self._relapses.returned(worker, at)

    def is_worker(self, source: str) -> bool:
        """Whether a source's heartbeats are known."""
        life = self._lives.get(source)
        return life is not None and life.is_regular

    def left(self, worker: str) -> None:
        """A worker has said goodbye: that nothing is heard of it means nothing."""
        self._register.dead[worker] = None

    def _is_alive(self, life: Life, at: float) -> bool:
        """Whether it has gone on although its heartbeats have not come."""
        return life.beat_at + 1.0 + 1.5 * life.gap.mean < life.seen_at <= at

    def _died(self, death: Death) -> None:
        if self._register.enter(death):
            self._handovers.died(death.worker, death.at, death.known_at)

    def assigned(self, assignment: Assignment) -> None:
        """A worker has been given a task; perhaps the one that it has just died with."""
        worker = assignment.source
        if worker in self._relapses.workers:
            for at in self._relapses.again(assignment, self._handovers):
                self._register.record(Death(at, worker, at, True, at))
        self._handovers.assigned(assignment, self._register.died_at)

    def _listen(self, now: float) -> None:
        for worker in self._silences.due(now):
            life = self._lives.get(worker)
            if life is None or worker in self._register.dead:
                continue
            if life.patience_s:
                due = life.beat_at + life.patience_s
                if due > now or self._is_alive(life, now):
                    self._silences.set(worker, max(due, now + life.patience_s))
                else:
                    self._died(Death(life.beat_at, worker, now, False, life.beat_at, life.interval_s))
            elif life.misses >= _MISSES and now - life.missed_at < _FRESH_S:
                due = life.seen_at + max(_UNREACHED_S, _PACES * life.pace_s)
                if due > now:
                    self._silences.set(worker, due)
                else:
                    at = max(life.seen_at, life.missed_at - _FRESH_S)
                    self._died(Death(at, worker, now, True, max(at, life.missed_since), life.told_s or life.pace_s))

    def chain(self, now: float) -> Chain | None:
        """The deaths that go on, or have just ended."""
        self._listen(now)
        run = self._register.run(now)
        self._handovers.acquit(now - 2 * _LONGEST_GAP_S)
        chain = self._judged(run) if len(run) >= 2 else None
        if chain is None and not self._register.mistakes_since(now - MISTAKES_S):
            return self._toll.chain(now, self._lives)
        return chain

    def _judged(self, run: list[Death]) -> Chain | None:
        workers = tuple(dict.fromkeys(death.worker for death in run))
        steps = steps_of(run)
        if len(steps) < 2:
            return None
        since, lives = run[0].at, self._lives
        proven = sum(d.proven or (d.worker in lives and lives[d.worker].missed_at >= d.at) for d in steps)
        counted = self._toll.since(since)
        missing = sum(at >= since for at in self._missing)
        is_proven = max(proven, missing) >= len(steps) - 1 or counted >= len(run) - 1
        score = rarity(len(steps), steps[-1].at - since, self._register.mistakes_since(since - MISTAKES_S))
        if proven == len(steps) or counted >= len(run) - 1:
            score += _CERTAIN
        task, held = self._handovers.culprit(workers, self._register.died_at)
        if len(workers) < 2 and held < _LOOP:
            return None
        if held > 1:
            others = sum(life.is_regular for life in self._lives.values()) - 1
            score += (held - 1) * min(_PER_TASK, self._handovers.taken_by_chance(others))
        return Chain(score, workers, len(steps), is_proven, task, steps[0].at, steps[-1].at)

    # -- state ------------------------------------------------------------------------------------------

    def pause(self, gap_s: float) -> None:
        """Nobody's silence counts for as long as nobody was listened to."""
        for life in self._lives.values():
            if life.beat_at:
                life.beat_at += gap_s

    def reset(self) -> None:
        self._lives.clear()
        self._silences.clear()
        self.unreached.clear()
        self._handovers.reset()
        self._relapses.reset()
        self._register.reset()
        self._toll.reset()
        self._missing.clear()
        self._evicted = 0

    def dump(self) -> dict[str, Any]:
        return {
            "dropped": self._evicted,
            "lives": [[worker, life.dump()] for worker, life in self._lives.items()],
            "unreached": sorted(self.unreached),
            "silences": self._silences.dump(),
            "handovers": self._handovers.dump(),
            "relapses": self._relapses.dump(),
            "register": self._register.dump(),
            "missing": list(self._missing),
            "toll": self._toll.dump(),
        }

    def load(self, state: dict[str, Any]) -> None:
        self.reset()
        self._evicted = state["dropped"]
        for worker, life in state["lives"]:
            self._lives[worker] = Life.load(life)
        self.unreached.update(state["unreached"])
        self._silences.load([(at, name) for at, name in state["silences"]])
        self._handovers.load(state["handovers"])
        self._relapses.load(state["relapses"])
        self._register.load(state["register"])
        self._missing.extend(state["missing"])
        self._toll.load(state["toll"])
