"""Load imbalance: some workers carry far more than their share, by count or by busy time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from otel_monitor_processors.observation import Assignment
from otel_monitor_processors.patterns.finding import Finding, Gates, Interests
from otel_monitor_processors.patterns.verdict import Pattern
from otel_monitor_processors.patterns.work import Work, Workload
from otel_monitor_processors.statistics import confidence_bound, g_test_z, log10_normal_tail
from otel_monitor_processors.tally import Tally

_MAX_GROUPS = 256
_MIN_WORKERS = 3
_MIN_PER_WORKER = 5
_SIGNIFICANT_Z = 5.0
_EFFECT = 1.6
_ABSENT_S = 15.0
_NOT_WORK = ("heartbeat", "register", "deregister", "assign", "rebalance", "handle_failure")


class LoadImbalance:
    """Compares the workers of one service at the same kind of work, each with its own usual share."""

    pattern = Pattern.LOAD_IMBALANCE

    def __init__(self, gates: Gates | None = None) -> None:
        self.gates = gates or Gates()
        self.dropped = 0
        self._groups: OrderedDict[str, Work] = OrderedDict()

    def interests(self) -> Interests:
        """Ended operations by source, and assignments by worker."""
        return {Tally: self._tally, Assignment: self._assignment}

    def _tally(self, tally: Tally) -> None:
        if tally.database:
            return
        for name, (count, busy_s) in tally.work.items():
            if name not in _NOT_WORK:
                self._work(f"{tally.service}/{name}").add(tally.source, tally.at, int(count), busy_s)

    def _assignment(self, assignment: Assignment) -> None:
        self._work(f"assignments by {assignment.observer}").add(assignment.source, assignment.at, 1, 0.0)

    def _work(self, group: str) -> Work:
        work = self._groups.get(group)
        if work is None:
            if len(self._groups) >= _MAX_GROUPS:
                self._groups.popitem(last=False)
                self.dropped += 1
            work = self._groups[group] = Work(self.gates.time_window_s)
        return work

    def findings(self, now: float) -> Iterable[Finding]:
        """One finding per group of workers."""
        if not self.gates.enabled:
            return
        for group, work in self._groups.items():
            loads = work.loads(now, _ABSENT_S)
            if len(loads) < _MIN_WORKERS:
                continue
            finding = self._judge(group, loads)
            work.frozen = finding is not None
            if finding is not None:
                yield finding

    def _judge(self, group: str, loads: list[Workload]) -> Finding | None:
        total = sum(load.calls for load in loads)
        if total < max(_MIN_PER_WORKER * len(loads), self.gates.min_events):
            return None
        by_count = _compare([float(load.calls) for load in loads], [load.usual for load in loads])
        mean_s = sum(load.busy_s for load in loads) / total
        by_time = (0.0, 0.0)
        if mean_s > 0:
            by_time = _compare([load.busy_s / mean_s for load in loads], [load.usual for load in loads])
        z, effect = max(by_count, by_time)
        if z < _SIGNIFICANT_Z or effect < _EFFECT:
            return None
        measure = "calls" if by_count >= by_time else "busy time"
        shares = {
            load.worker: (load.calls / total if measure == "calls" else _busy_share(load, loads)) for load in loads
        }
        usual = sum(load.usual for load in loads)
        over = tuple(sorted(load.worker for load in loads if shares[load.worker] > _EFFECT * load.usual / usual))
        if not over:
            return None
        heaviest = max(over, key=lambda worker: shares[worker])
        return Finding(
            pattern=self.pattern,
            scope=group,
            confidence=confidence_bound(log10_normal_tail(z) + 2.0),
            sources=over,
            root=heaviest,
            summary=f"{heaviest} carries {shares[heaviest]:.0%} of {group} among {len(loads)} workers, by {measure}",
            window_s=self.gates.time_window_s,
            evidence={
                "z": round(z, 2),
                "effect": round(effect, 2),
                "measure": measure,
                "shares": {worker: round(share, 3) for worker, share in sorted(shares.items())[:50]},
            },
        )

    def pause(self, gap_s: float) -> None:
        """A pause takes nothing away here: what was not observed is not counted."""

    def reset(self) -> None:
        self._groups.clear()
        self.dropped = 0

    def dump(self) -> dict[str, Any]:
        return {"dropped": self.dropped, "groups": [[group, work.dump()] for group, work in self._groups.items()]}

    def load(self, state: dict[str, Any]) -> None:
        self.reset()
        self.dropped = state["dropped"]
        for group, work in state["groups"]:
            self._groups[group] = Work.load(work)


def _busy_share(load: Workload, loads: list[Workload]) -> float:
    return load.busy_s / (sum(other.busy_s for other in loads) or 1.0)


def _compare(observed: list[float], usual: list[float]) -> tuple[float, float]:
    """How significant, and by what factor, the heaviest is above its usual share."""
    total, weight = sum(observed), sum(usual)
    if total <= 0 or weight <= 0:
        return 0.0, 0.0
    expected = [total * share / weight for share in usual]
    effect = max(o / e for o, e in zip(observed, expected, strict=True))
    return g_test_z(observed, expected), effect
