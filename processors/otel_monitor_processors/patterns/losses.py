"""Workers that die one after the other, and the task that each of them had been given before."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Any, NamedTuple

from otel_monitor_processors.observation import Assignment
from otel_monitor_processors.patterns.deadlines import Deadlines
from otel_monitor_processors.patterns.lives import QUIET, SHORTEST_S, Life
from otel_monitor_processors.statistics import log10_poisson_tail

_MAX_WORKERS = 10_000
_MAX_TASKS = 20_000
_MAX_DEATHS = 256
_LONGEST_GAP_S = 150.0
"""Deaths further apart than this have nothing to do with each other."""
_FRESH_S = 90.0
_TOGETHER_S = 2.0
_USUAL = (0.5, 1_800.0)
"""Deaths that are expected of a system of which nothing is known, and in how many seconds."""
_PER_TASK = 1.5
_JUST_NOW_S = 1.2
_MISSES = 2
_PACES = 4.0
_UNREACHED_S = 8.0
_LOOP = 3
_FINE_S = 3.0
_SLOWEST_S = 20.0
_MISSING_APART_S = 1.0
_SOON_S = 10.0
_SHORTEST_BREAK_S = 6.0
_BREAK = 2.5
_EXPORTED_LATE_S = 75.0


class Death(NamedTuple):
    """A worker from which nothing is heard any more since `at`; `proven` if somebody has missed it."""

    at: float
    worker: str
    known_at: float
    proven: bool


@dataclass(frozen=True, slots=True)
class Chain:
    """Workers that have died one after the other; `score` is -log10 p of so many in so short a time."""

    score: float
    workers: tuple[str, ...]
    steps: int
    proven: bool
    task: str | None
    since: float
    last_at: float
    counted: bool = False
    """Whether only counters tell of it, and not who it was."""

    @property
    def kind(self) -> str:
        return "counted" if self.counted else "chain" if self.proven else "silent"


class Losses:
    """Keeps the lives of workers, their deaths, and who was given which task."""

    def __init__(self) -> None:
        self.dropped = 0
        self._lives: OrderedDict[str, Life] = OrderedDict()
        self._silences = Deadlines()
        self.unreached: set[str] = set()
        """Peers that somebody has failed to reach, and nobody has reached since."""
        self._owners: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._suspects: OrderedDict[str, list[str]] = OrderedDict()
        """Tasks that were taken from the dead, and from whom."""
        self._dead: dict[str, None] = {}
        self._deaths: deque[Death] = deque(maxlen=_MAX_DEATHS)
        self._died_at: dict[str, float] = {}
        self._missing: deque[float] = deque(maxlen=_MAX_DEATHS)
        self._mistaken_at = 0.0
        """When a worker was given up last that had not died."""
        self._failures: deque[float] = deque(maxlen=_MAX_DEATHS)
        """When counters told that a worker had been given up, once for each."""

    # -- what is heard ----------------------------------------------------------------------------------

    def _life(self, worker: str) -> Life:
        life = self._lives.get(worker)
        if life is None:
            if len(self._lives) >= _MAX_WORKERS:
                self._lives.popitem(last=False)
                self.dropped += 1
            life = self._lives[worker] = Life()
        return life

    def beat(self, worker: str, at: float) -> None:
        """A heartbeat has come."""
        life = self._life(worker)
        before = life.beat_at
        if at <= before:
            return
        life.beat_at = at
        if worker in self._dead:
            if life.gap.mean < _FINE_S and at - self._died_at.get(worker, 0.0) < min(_SOON_S, 2.0 * life.patience_s):
                self._revoke(worker, at)
            self._dead.pop(worker, None)
        elif before:
            life.gap.add(at - before)
        if worker not in self._silences and life.patience_s:
            self._silences.set(worker, at + life.patience_s)

    def works(self, source: str) -> None:
        """A source has processed a task."""
        self._life(source).works = True

    def exports(self, source: str, at: float) -> None:
        """A source has sent what it sends regularly."""
        self._life(source)
        self.seen(source, at)

    def seen(self, source: str, at: float) -> None:
        """Something of its own has come from a source; only known workers matter."""
        life = self._lives.get(source)
        if life is None or at <= life.seen_at:
            return
        silent_s = at - self._died_at.get(source, at)
        if 1.0 + life.pace_s < silent_s <= max(_SHORTEST_BREAK_S, _BREAK * life.pace_s):
            self._revoke(source, at)
        if life.seen_at:
            gap_s = at - life.seen_at
            if life.pace_s and gap_s > max(SHORTEST_S, QUIET * life.pace_s):
                life.quiet_from = life.seen_at
            elif source not in self._dead:
                life.pace(gap_s)
        life.seen_at = at

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
        self._failures.extend([at] * min(failures, _MAX_DEATHS))

    def lost(self, worker: str, at: float) -> None:
        """An orchestrator has given up a worker."""
        life = self._life(worker)
        is_fine = life.is_regular and 2.5 * life.gap.mean <= at - life.beat_at < _LONGEST_GAP_S
        if at - _JUST_NOW_S < life.seen_at <= at or (is_fine and self._is_alive(life, at)):
            self._mistaken_at = at
            return
        self._died(Death(life.beat_at if is_fine else at, worker, at, True))

    def back(self, worker: str) -> None:
        """A worker has registered, or has said goodbye."""
        self._dead.pop(worker, None)

    def is_worker(self, source: str) -> bool:
        """Whether a source's heartbeats are known."""
        life = self._lives.get(source)
        return life is not None and life.is_regular

    def left(self, worker: str) -> None:
        """A worker has said goodbye: that nothing is heard of it means nothing."""
        self._dead[worker] = None

    def _is_alive(self, life: Life, at: float) -> bool:
        """Whether it has gone on although its heartbeats have not come."""
        return life.beat_at + 1.0 + 1.5 * life.gap.mean < life.seen_at <= at

    def _died(self, death: Death) -> None:
        known = [other for other in self._deaths if other.worker == death.worker and abs(other.at - death.at) < 5.0]
        if known:
            if death.proven and not known[-1].proven:
                self._deaths.remove(known[-1])
            else:
                return
        if len(self._deaths) == _MAX_DEATHS:
            self.dropped += 1
        self._dead[death.worker] = None
        self._died_at[death.worker] = death.at
        self._deaths.append(death)

    def _revoke(self, worker: str, at: float) -> None:
        """It goes on as if nothing had been: it had not died."""
        died_at = self._died_at.pop(worker, 0.0)
        kept = [death for death in self._deaths if death.worker != worker or death.at != died_at]
        self._deaths.clear()
        self._deaths.extend(kept)
        self._dead.pop(worker, None)
        self._mistaken_at = at

    # -- who has which task -----------------------------------------------------------------------------

    def assigned(self, assignment: Assignment) -> None:
        """A task has a new owner. If the one before has died, the task may be to blame."""
        task = assignment.task_id
        if task is None:
            return
        before = self._owners.get(task)
        if before is not None and self._died_at.get(before[0], 0.0) > before[1] - 1.0:
            owners = self._suspects.setdefault(task, [])
            owners.append(before[0])
            del owners[:-_MAX_DEATHS]
            self._suspects.move_to_end(task)
            if len(self._suspects) > _MAX_TASKS:
                self._suspects.popitem(last=False)
                self.dropped += 1
        if before is None and len(self._owners) >= _MAX_TASKS:
            self._owners.popitem(last=False)
            self.dropped += 1
        self._owners[task] = (assignment.source, assignment.at)

    def _task(self, workers: tuple[str, ...]) -> tuple[str | None, int]:
        """The task that most of these had, in a row."""
        best: tuple[str | None, int] = (None, 0)
        for task, owners in self._suspects.items():
            count = sum(name in workers for name in owners)
            worker, at = self._owners.get(task, ("", 0.0))
            count += worker in workers and self._died_at.get(worker, 0.0) > at - 1.0
            if count > best[1] and count >= 2:
                best = (task, count)
        return best

    # -- conclusions ------------------------------------------------------------------------------------

    def _listen(self, now: float) -> None:
        for worker in self._silences.due(now):
            life = self._lives.get(worker)
            if life is None or worker in self._dead:
                continue
            if life.patience_s:
                due = life.beat_at + life.patience_s
                if due > now or self._is_alive(life, now):
                    self._silences.set(worker, max(due, now + life.patience_s))
                else:
                    self._died(Death(life.beat_at, worker, now, False))
            elif life.misses >= _MISSES and now - life.missed_at < _FRESH_S:
                due = life.seen_at + max(_UNREACHED_S, _PACES * life.pace_s)
                if due > now:
                    self._silences.set(worker, due)
                else:
                    self._died(Death(max(life.seen_at, life.missed_at - _FRESH_S), worker, now, True))

    def chain(self, now: float) -> Chain | None:
        """The deaths that go on, or have just ended."""
        self._listen(now)
        while self._deaths and now - self._deaths[0].known_at > 2 * _LONGEST_GAP_S:
            self._deaths.popleft()
        if not self._deaths and self._died_at:
            self._died_at.clear()
            self._suspects.clear()
        deaths = sorted(self._deaths)
        if len(deaths) < 2 or now - max(death.known_at for death in deaths) > _FRESH_S:
            return self._counted(now)
        run = deaths[-1:]
        for death in reversed(deaths[:-1]):
            if run[-1].at - death.at > _LONGEST_GAP_S:
                break
            run.append(death)
        run.reverse()
        return self._judged(run) or self._counted(now)

    def _judged(self, run: list[Death]) -> Chain | None:
        workers = tuple(dict.fromkeys(death.worker for death in run))
        steps = [run[0]]
        proven = 0
        for death in run[1:]:
            life = self._lives.get(death.worker)
            usual_s = life.gap.mean if life is not None else 0.0
            interval_s = usual_s if death.at < death.known_at else 0.0
            together_s = max(_TOGETHER_S, 1.5 * interval_s)
            noticed_s = max(_TOGETHER_S, usual_s)  # those that die together are missed within one interval
            if death.at - steps[-1].at > together_s and abs(death.known_at - steps[-1].known_at) > noticed_s:
                if death.at + 1.5 * interval_s + _TOGETHER_S < _felt_at(steps[-1]):
                    continue  # it was dead before anybody could have passed the first one's work on to it
                steps.append(death)
        if len(steps) < 2:
            return None
        proven = sum(self._is_proven(death) for death in steps)
        counted = sum(at >= run[0].at for at in self._failures)
        missing = sum(at >= run[0].at for at in self._missing)
        is_proven = max(proven, missing) >= len(steps) - 1 or counted >= len(run) - 1
        span_s = max(60.0, steps[-1].at - steps[0].at)
        score = -log10_poisson_tail(len(steps), _USUAL[0] / _USUAL[1] * span_s)
        task, held = self._task(workers)
        if len(workers) < 2 and held < _LOOP:
            return None
        score += _PER_TASK * max(0, held - 1)
        return Chain(score, workers, len(steps), is_proven, task, steps[0].at, steps[-1].at)

    def _counted(self, now: float) -> Chain | None:
        """What counters alone tell: workers given up in one export after the other."""
        fresh = [at for at in self._failures if now - at <= _LONGEST_GAP_S]
        exports = sorted(set(fresh))
        steps = min(len(fresh), len(exports) + 1)
        if len(exports) < 2 or len(fresh) < 3 or now - exports[-1] > _FRESH_S:
            return None
        if now - self._mistaken_at < 2 * _LONGEST_GAP_S:
            return None
        since = exports[0] - _EXPORTED_LATE_S
        quiet = sorted(
            (from_at, worker)
            for worker, life in self._lives.items()
            if life.works and life.pace_s <= _SLOWEST_S and (from_at := life.quiet_since(now)) >= since
        )
        workers = tuple(worker for _, worker in quiet[-len(fresh) :])
        score = -log10_poisson_tail(steps, _USUAL[0] / _USUAL[1] * max(60.0, exports[-1] - exports[0]))
        return Chain(score, workers, steps, True, None, exports[0], exports[-1], counted=len(workers) < 2)

    def _is_proven(self, death: Death) -> bool:
        life = self._lives.get(death.worker)
        return death.proven or (life is not None and life.missed_at >= death.at)

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
        self._owners.clear()
        self._suspects.clear()
        self._dead.clear()
        self._died_at.clear()
        self._deaths.clear()
        self._failures.clear()
        self._missing.clear()
        self._mistaken_at = 0.0
        self.dropped = 0

    def dump(self) -> dict[str, Any]:
        return {
            "dropped": self.dropped,
            "lives": [[worker, life.dump()] for worker, life in self._lives.items()],
            "unreached": sorted(self.unreached),
            "silences": self._silences.dump(),
            "owners": [[task, *owner] for task, owner in self._owners.items()],
            "suspects": [[task, owners] for task, owners in self._suspects.items()],
            "dead": list(self._dead),
            "died_at": list(self._died_at.items()),
            "deaths": [list(death) for death in self._deaths],
            "missing": list(self._missing),
            "mistaken_at": self._mistaken_at,
            "failures": list(self._failures),
        }

    def load(self, state: dict[str, Any]) -> None:
        self.reset()
        self.dropped = state["dropped"]
        for worker, life in state["lives"]:
            self._lives[worker] = Life.load(life)
        self.unreached = set(state["unreached"])
        self._silences.load([(at, name) for at, name in state["silences"]])
        self._owners = OrderedDict((task, (worker, at)) for task, worker, at in state["owners"])
        self._suspects = OrderedDict((task, list(owners)) for task, owners in state["suspects"])
        self._dead = dict.fromkeys(state["dead"])
        self._died_at = dict(state["died_at"])
        self._deaths.extend(Death(*death) for death in state["deaths"])
        self._missing.extend(state["missing"])
        self._mistaken_at = state["mistaken_at"]
        self._failures.extend(state["failures"])


def _felt_at(death: Death) -> float:
    """When others could begin to suffer from a death: when somebody knew of it, as far as that is known."""
    return death.known_at if death.proven else death.at
