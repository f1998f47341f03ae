"""Workers that die one after the other, and the task that each of them had been given before."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Any, NamedTuple

from otel_monitor_processors.observation import Assignment
from otel_monitor_processors.patterns.deadlines import Deadlines
from otel_monitor_processors.statistics import Baseline, log10_poisson_tail

_MAX_WORKERS = 10_000
_MAX_TASKS = 20_000
_MAX_DEATHS = 256
_MEMORY = 30
_REGULAR_AFTER = 6
_LONGEST_GAP_S = 150.0
"""Deaths further apart than this have nothing to do with each other."""
_FRESH_S = 90.0
_TOGETHER_S = 2.0
_INTERVALS = 3.5
_DEVIATIONS = 8.0
_SHORTEST_S = 2.0
_USUAL = (0.5, 1_800.0)
"""Deaths that are expected of a system of which nothing is known, and in how many seconds."""
_PER_TASK = 1.5


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


class _Life:
    """What is heard of a worker: its heartbeats, whether anything of its own, and failures to reach it."""

    __slots__ = ("beat_at", "gap", "missed_at", "seen_at")

    def __init__(self) -> None:
        self.beat_at = 0.0
        self.gap = Baseline(_MEMORY)
        self.seen_at = 0.0
        self.missed_at = 0.0

    @property
    def patience_s(self) -> float:
        """How long after a heartbeat it counts as silent; 0 where heartbeats are too irregular to tell."""
        gap = self.gap
        if gap.count < _REGULAR_AFTER or gap.deviation > gap.mean:
            return 0.0
        return max(_SHORTEST_S, _INTERVALS * gap.mean, gap.mean + _DEVIATIONS * gap.deviation)


class Losses:
    """Keeps the lives of workers, their deaths, and who was given which task."""

    def __init__(self) -> None:
        self.dropped = 0
        self._lives: OrderedDict[str, _Life] = OrderedDict()
        self._silences = Deadlines()
        self._owners: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._suspects: OrderedDict[str, list[str]] = OrderedDict()
        """Tasks that were taken from the dead, and from whom."""
        self._dead: dict[str, None] = {}
        self._deaths: deque[Death] = deque(maxlen=_MAX_DEATHS)
        self._missed_at = 0.0
        self._failures: deque[float] = deque(maxlen=_MAX_DEATHS)
        """When counters told that a worker had been given up, once for each."""

    # -- what is heard ----------------------------------------------------------------------------------

    def _life(self, worker: str) -> _Life:
        life = self._lives.get(worker)
        if life is None:
            if len(self._lives) >= _MAX_WORKERS:
                self._lives.popitem(last=False)
                self.dropped += 1
            life = self._lives[worker] = _Life()
        return life

    def beat(self, worker: str, at: float) -> None:
        """A heartbeat has come."""
        life = self._life(worker)
        before = life.beat_at
        if at <= before:
            return
        life.beat_at = at
        if worker in self._dead:
            del self._dead[worker]
        elif before:
            life.gap.add(at - before)
        if worker not in self._silences and life.patience_s:
            self._silences.set(worker, at + life.patience_s)

    def seen(self, source: str, at: float) -> None:
        """Something of its own has come from a source; only known workers matter."""
        life = self._lives.get(source)
        if life is not None and at > life.seen_at:
            life.seen_at = at

    def missed(self, peer: str, at: float) -> None:
        """Somebody has failed to reach a peer."""
        life = self._lives.get(peer)
        if life is not None:
            life.missed_at = max(life.missed_at, at)

    def missing(self, at: float) -> None:
        """An orchestrator has failed to reach some worker."""
        self._missed_at = max(self._missed_at, at)

    def counted(self, at: float, failures: int) -> None:
        """So many workers have been given up since the last time."""
        self._failures.extend([at] * min(failures, _MAX_DEATHS))

    def lost(self, worker: str, at: float) -> None:
        """An orchestrator has given up a worker."""
        life = self._life(worker)
        beat_at = life.beat_at if life.gap.count >= _REGULAR_AFTER and at - life.beat_at < _LONGEST_GAP_S else 0.0
        if self._is_alive(life, beat_at or at - _SHORTEST_S, at):
            return
        self._died(Death(beat_at or at, worker, at, True))

    def back(self, worker: str) -> None:
        """A worker has registered, or has said goodbye."""
        self._dead.pop(worker, None)

    def left(self, worker: str) -> None:
        """A worker has said goodbye: that nothing is heard of it means nothing."""
        self._dead[worker] = None

    def _is_alive(self, life: _Life, beat_at: float, at: float) -> bool:
        """Whether it has gone on although its heartbeats have not come."""
        usual_s = life.gap.mean if life.gap.count >= _REGULAR_AFTER else 0.0
        return beat_at + 1.0 + 1.5 * usual_s < life.seen_at <= at

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
        self._deaths.append(death)

    # -- who has which task -----------------------------------------------------------------------------

    def assigned(self, assignment: Assignment) -> None:
        """A task has a new owner. If the one before has died, the task may be to blame."""
        task = assignment.task_id
        if task is None:
            return
        before = self._owners.get(task)
        if before is not None and before[0] != assignment.source and before[0] in self._dead:
            owners = self._suspects.setdefault(task, [])
            if not owners or owners[-1] != before[0]:
                owners.append(before[0])
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
            owner = self._owners.get(task)
            held = [*owners, owner[0]] if owner is not None and owner[0] in self._dead else owners
            count = len({name for name in held if name in workers})
            if count > best[1] and count >= 2:
                best = (task, count)
        return best

    # -- conclusions ------------------------------------------------------------------------------------

    def _listen(self, now: float) -> None:
        for worker in self._silences.due(now):
            life = self._lives.get(worker)
            if life is None or worker in self._dead or not life.patience_s:
                continue
            due = life.beat_at + life.patience_s
            if due > now:
                self._silences.set(worker, due)
            elif self._is_alive(life, life.beat_at, now):
                self._silences.set(worker, now + life.patience_s)
            else:
                self._died(Death(life.beat_at, worker, now, False))

    def chain(self, now: float) -> Chain | None:
        """The deaths that go on, or have just ended."""
        self._listen(now)
        deaths = sorted(self._deaths)
        while deaths and now - self._deaths[0].known_at > 2 * _LONGEST_GAP_S:
            self._deaths.popleft()
            deaths = sorted(self._deaths)
        if len(deaths) < 2 or now - max(death.known_at for death in deaths) > _FRESH_S:
            return None
        run = deaths[-1:]
        for death in reversed(deaths[:-1]):
            if run[-1].at - death.at > _LONGEST_GAP_S:
                break
            run.append(death)
        run.reverse()
        return self._judged(run)

    def _judged(self, run: list[Death]) -> Chain | None:
        workers = tuple(dict.fromkeys(death.worker for death in run))
        steps = [run[0]]
        proven = 0
        for death in run[1:]:
            life = self._lives.get(death.worker)
            interval_s = life.gap.mean if life is not None and life.gap.count >= _REGULAR_AFTER else 0.0
            if death.at - steps[-1].at > max(_TOGETHER_S, 1.5 * interval_s):
                steps.append(death)
        if len(steps) < 2 or len(workers) < 2:
            return None
        proven = sum(self._is_proven(death) for death in steps)
        counted = sum(at >= run[0].at for at in self._failures)
        is_proven = proven >= len(steps) - 1 or counted >= len(run) - 1
        span_s = max(60.0, steps[-1].at - steps[0].at)
        score = -log10_poisson_tail(len(steps), _USUAL[0] / _USUAL[1] * span_s)
        task, held = self._task(workers)
        score += _PER_TASK * max(0, held - 1)
        return Chain(score, workers, len(steps), is_proven, task, steps[0].at, steps[-1].at)

    def _is_proven(self, death: Death) -> bool:
        life = self._lives.get(death.worker)
        return death.proven or (life is not None and life.missed_at >= death.at) or self._missed_at >= death.at

    # -- state ------------------------------------------------------------------------------------------

    def reset(self) -> None:
        self._lives.clear()
        self._silences.clear()
        self._owners.clear()
        self._suspects.clear()
        self._dead.clear()
        self._deaths.clear()
        self._failures.clear()
        self._missed_at = 0.0
        self.dropped = 0

    def dump(self) -> dict[str, Any]:
        return {
            "dropped": self.dropped,
            "lives": [
                [worker, life.beat_at, life.gap.dump(), life.seen_at, life.missed_at]
                for worker, life in self._lives.items()
            ],
            "silences": self._silences.dump(),
            "owners": [[task, *owner] for task, owner in self._owners.items()],
            "suspects": [[task, owners] for task, owners in self._suspects.items()],
            "dead": list(self._dead),
            "deaths": [list(death) for death in self._deaths],
            "missed_at": self._missed_at,
            "failures": list(self._failures),
        }

    def load(self, state: dict[str, Any]) -> None:
        self.reset()
        self.dropped = state["dropped"]
        for worker, beat_at, gap, seen_at, missed_at in state["lives"]:
            life = self._lives[worker] = _Life()
            life.beat_at, life.gap, life.seen_at, life.missed_at = beat_at, Baseline.load(gap), seen_at, missed_at
        self._silences.load([(at, name) for at, name in state["silences"]])
        self._owners = OrderedDict((task, (worker, at)) for task, worker, at in state["owners"])
        self._suspects = OrderedDict((task, list(owners)) for task, owners in state["suspects"])
        self._dead = dict.fromkeys(state["dead"])
        self._deaths.extend(Death(*death) for death in state["deaths"])
        self._missed_at = state["missed_at"]
        self._failures.extend(state["failures"])
