"""Heartbeat degradation: workers whose heartbeats come late, come irregularly, or have stopped.

Two scopes: `late` for degraded rhythms, `lost` for workers that are silent beyond doubt or were given up by
their orchestrator. When the workers of one observer are silent together, the observer is the likelier
culprit: it is blamed for lateness, and a loss is held back for a while.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from otel_monitor_processors.observation import Change, Heartbeat, Membership, TraceRef
from otel_monitor_processors.patterns.deadlines import Deadlines
from otel_monitor_processors.patterns.finding import Finding, Gates, Interests
from otel_monitor_processors.patterns.heartbeats import PHI_LOST, Condition, Rhythm
from otel_monitor_processors.patterns.verdict import Pattern
from otel_monitor_processors.statistics import confidence_bound

_MAX_WORKERS = 10_000
_LOOK_AGAIN_S = 0.5
_TOGETHER_SHARE = 0.4
_TOGETHER_MIN = 3
_STALL_PATIENCE = 3.0
_FORGET_AFTER_S = 900.0
_GIVEN_UP_CONFIDENCE = 0.9
_MAX_NAMED = 20
_LN10 = 2.302585092994046


class HeartbeatDegradation:
    """Detects late, irregular and lost workers from the heartbeats that their observer receives."""

    pattern = Pattern.HEARTBEAT_DEGRADATION

    def __init__(self, gates: Gates | None = None, memory: int = 100) -> None:
        self.gates = gates or Gates()
        self.dropped = 0
        self._memory = memory
        self._workers: OrderedDict[str, Rhythm] = OrderedDict()
        self._degraded: dict[str, Rhythm] = {}
        self._lost: dict[str, Rhythm] = {}
        self._deadlines = Deadlines()

    def interests(self) -> Interests:
        """Heartbeats as their receiver saw them, and changes of membership."""
        return {Heartbeat: self._heartbeat, Membership: self._member}

    def _heartbeat(self, heartbeat: Heartbeat) -> bool:
        if heartbeat.source == heartbeat.observer or not heartbeat.ok:
            return False
        return self._beat(heartbeat.source, heartbeat.observer, heartbeat.at)

    def _beat(self, worker: str, observer: str, at: float) -> bool:
        rhythm = self._workers.get(worker)
        if rhythm is None:
            self._add(worker, observer, at)
            return False
        notable = rhythm.beat(at, self.gates.min_events)
        self._workers.move_to_end(worker)
        if not notable:
            if worker not in self._deadlines:
                self._deadlines.set(worker, rhythm.lost_by())
            return False
        rhythm.observer = observer
        return self._sort(worker, rhythm)

    def _add(self, worker: str, observer: str, at: float) -> Rhythm:
        if len(self._workers) >= _MAX_WORKERS:
            oldest, _ = self._workers.popitem(last=False)
            self._forget(oldest)
            self.dropped += 1
        rhythm = Rhythm(observer, at, self._memory)
        self._workers[worker] = rhythm
        return rhythm

    def _member(self, membership: Membership) -> bool:
        worker = membership.source
        if worker == membership.observer:
            return False
        if membership.change is Change.LEFT:
            self._workers.pop(worker, None)
            return self._forget(worker)
        rhythm = self._workers.get(worker)
        if rhythm is None:
            rhythm = self._add(worker, membership.observer, membership.at)
        if membership.change is Change.JOINED:
            rhythm.restart(membership.at)
            self._workers.move_to_end(worker)
        else:
            rhythm.trace = membership.trace
            if rhythm.lost_at is None:
                rhythm.lost_at = membership.at
                rhythm.lost_reason = "given up by its orchestrator"
        return self._sort(worker, rhythm)

    def _sort(self, worker: str, rhythm: Rhythm) -> bool:
        """Put a worker where its condition belongs. True: it was elsewhere before."""
        before = worker in self._lost, worker in self._degraded
        condition = rhythm.condition
        if condition is Condition.LOST:
            self._lost[worker] = rhythm
            self._degraded.pop(worker, None)
        else:
            self._lost.pop(worker, None)
            if condition is Condition.REGULAR:
                self._degraded.pop(worker, None)
            else:
                self._degraded[worker] = rhythm
        return before != (worker in self._lost, worker in self._degraded)

    def _forget(self, worker: str) -> bool:
        known = worker in self._lost or worker in self._degraded
        self._lost.pop(worker, None)
        self._degraded.pop(worker, None)
        return known

    def pause(self, gap_s: float) -> None:
        """Nobody was there to receive: every silence is shorter by the pause."""
        for rhythm in self._workers.values():
            rhythm.last += gap_s  # deadlines set before it are looked at too early, and set anew

    def findings(self, now: float) -> Iterable[Finding]:
        """Judge the silences at `now`, then say who is lost and who is late."""
        if not self.gates.enabled:
            return
        self._judge_silence(now)
        least = max(1.0, self.gates.failure_rate_threshold * len(self._workers))
        if len(self._lost) >= least:
            yield self._lost_finding(now)
        if len(self._degraded) >= least:
            yield self._late_finding(now)

    def _judge_silence(self, now: float) -> None:
        for worker in [*self._deadlines.due(now)]:
            rhythm = self._workers.get(worker)
            if rhythm is None or rhythm.lost_at is not None or rhythm.beats < self.gates.min_events:
                continue  # its next heartbeat sets a new deadline
            if self._gone(rhythm, now):
                rhythm.lost_at = now
                rhythm.lost_reason = "silent"
                self._sort(worker, rhythm)
            else:
                self._deadlines.set(worker, max(rhythm.lost_by(), now + _LOOK_AGAIN_S))
        self._forget_long_lost(now)

    def _gone(self, rhythm: Rhythm, now: float) -> bool:
        if rhythm.phi(now) < PHI_LOST:
            return False
        patience_s = (_STALL_PATIENCE + 1.0) * rhythm.allowed_silence_s()
        return now - rhythm.last >= patience_s or not self._observer_stalled(rhythm, now)

    def _forget_long_lost(self, now: float) -> None:
        while self._lost:
            worker, rhythm = next(iter(self._lost.items()))
            if rhythm.lost_at is not None and now - rhythm.lost_at <= _FORGET_AFTER_S:
                return
            self._workers.pop(worker, None)
            self._forget(worker)

    def _observer_stalled(self, rhythm: Rhythm, now: float) -> bool:
        """Whether every other worker of the same observer is silent as well."""
        others = 0
        for other in reversed(self._workers.values()):
            if other is rhythm or other.observer != rhythm.observer or other.lost_at is not None:
                continue
            others += 1
            if now - other.last <= other.allowed_silence_s():
                return False
        return others > 0

    def _lost_finding(self, now: float) -> Finding:
        workers = sorted(self._lost)
        parts = [_describe_lost(worker, self._lost[worker]) for worker in workers[:_MAX_NAMED]]
        confidence = max(_loss_confidence(rhythm) for rhythm in self._lost.values())
        evidence = {
            "workers": len(self._workers),
            "lost": {worker: _numbers(self._lost[worker], now) for worker in workers[:_MAX_NAMED]},
        }
        traces = tuple(rhythm.trace for rhythm in self._lost.values() if rhythm.trace is not None)[:5]
        what = f"{len(workers)} of {len(self._workers)} workers lost: {', '.join(parts)}"
        return self._finding("lost", confidence, tuple(workers), what, evidence, traces)

    def _late_finding(self, now: float) -> Finding:
        workers = sorted(self._degraded)
        together = len(workers) >= max(_TOGETHER_MIN, _TOGETHER_SHARE * len(self._workers))
        observers = {rhythm.observer for rhythm in self._degraded.values()}
        sources = tuple(sorted(observers)) if together else tuple(workers)
        parts = [_describe_late(worker, self._degraded[worker]) for worker in workers[:_MAX_NAMED]]
        what = f"heartbeats of {len(workers)} of {len(self._workers)} workers degraded: {', '.join(parts)}"
        if together:
            what += f"; so many together point to their observer {', '.join(sources)} or the network before it"
        evidence = {
            "workers": len(self._workers),
            "together": together,
            "late": {worker: _numbers(self._degraded[worker], now) for worker in workers[:_MAX_NAMED]},
        }
        score = max(max(rhythm.late, rhythm.irregular) for rhythm in self._degraded.values())
        return self._finding("late", confidence_bound(-score / _LN10), sources, what, evidence)

    def _finding(
        self,
        scope: str,
        confidence: float,
        sources: tuple[str, ...],
        summary: str,
        evidence: dict[str, Any],
        traces: tuple[TraceRef, ...] = (),
    ) -> Finding:
        return Finding(
            pattern=self.pattern,
            scope=scope,
            confidence=confidence,
            sources=sources,
            summary=summary,
            window_s=self.gates.time_window_s,
            sure=True,
            evidence=evidence,
            traces=traces,
        )

    def reset(self) -> None:
        self._workers.clear()
        self._lost.clear()
        self._degraded.clear()
        self._deadlines.clear()
        self.dropped = 0

    def dump(self) -> dict[str, Any]:
        return {
            "dropped": self.dropped,
            "deadlines": self._deadlines.dump(),
            "workers": {worker: rhythm.dump() for worker, rhythm in self._workers.items()},
        }

    def load(self, state: dict[str, Any]) -> None:
        self.reset()
        self.dropped = state["dropped"]
        self._deadlines.load(state["deadlines"])
        for worker, item in state["workers"].items():
            rhythm = self._workers[worker] = Rhythm.load(item)
            self._sort(worker, rhythm)


def _loss_confidence(rhythm: Rhythm) -> float:
    if rhythm.lost_at is None:
        return 0.0
    silent = confidence_bound(-rhythm.phi(rhythm.lost_at)) if rhythm.beats else 0.5
    if rhythm.lost_reason == "silent":
        return silent
    return max(_GIVEN_UP_CONFIDENCE, silent)


def _numbers(rhythm: Rhythm, now: float) -> dict[str, Any]:
    return {
        "interval_s": round(rhythm.baseline.mean, 4),
        "deviation_s": round(rhythm.baseline.deviation, 4),
        "silence_s": round(now - rhythm.last, 3),
        "late_cusum": round(rhythm.late, 2),
        "irregular_cusum": round(rhythm.irregular, 2),
        "reason": rhythm.lost_reason,
    }


def _describe_lost(worker: str, rhythm: Rhythm) -> str:
    silence = (rhythm.lost_at if rhythm.lost_at is not None else rhythm.last) - rhythm.last
    if not rhythm.beats:
        return f"{worker} ({rhythm.lost_reason})"
    expected = f"expected every {rhythm.baseline.mean:.2g} s"
    return f"{worker} ({rhythm.lost_reason}, no heartbeat for {silence:.1f} s, {expected})"


def _describe_late(worker: str, rhythm: Rhythm) -> str:
    now, before = rhythm.recent, rhythm.baseline
    interval = f"every {now.mean:.2g} ± {now.deviation:.2g} s"
    return f"{worker} ({interval}, was {before.mean:.2g} ± {before.deviation:.2g} s)"
