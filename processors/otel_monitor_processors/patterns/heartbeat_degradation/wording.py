"""What is said of late and lost workers: in words, and in numbers."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from otel_monitor_processors.observation import TraceRef
from otel_monitor_processors.patterns.heartbeat_degradation.heartbeats import Rhythm
from otel_monitor_processors.patterns.heartbeat_degradation.pace import Pace
from otel_monitor_processors.patterns.heartbeat_degradation.pauses import Pause

_TOGETHER_SHARE = 0.6
_TOGETHER_MIN = 3
_LN10 = math.log(10.0)
_MAX_TRACES = 5
_MAX_NAMED = 20


class Said(NamedTuple):
    """A finding, but for how sure it is."""

    scope: str
    kind: str
    score: float
    sources: tuple[str, ...]
    root: str
    summary: str
    evidence: dict[str, Any]
    traces: tuple[TraceRef, ...] = ()


def of_lost(rhythms: Mapping[str, Rhythm], strongest: str, kind: str, fleet: int, now: float) -> Said:
    """Workers that are lost, or may be: the strongest evidence counts."""
    workers = sorted(rhythms)
    return Said(
        "lost",
        kind,
        rhythms[strongest].silence,
        tuple(workers),
        min(workers, key=lambda worker: (rhythms[worker].lost_at or now, worker)),
        _lost_summary(rhythms, workers, fleet, now),
        _all_numbers("lost", rhythms, workers, fleet, now),
        tuple(rhythm.trace for rhythm in rhythms.values() if rhythm.trace is not None)[:_MAX_TRACES],
    )


def of_late(rhythms: Mapping[str, Rhythm], everybody: Collection[Rhythm], fleet: int, now: float) -> Said:
    """Workers whose heartbeats are late; where most of an observer's are, the observer is named."""
    workers = sorted(rhythms)
    observers = _blamed(rhythms, everybody)
    sources = observers or tuple(workers)
    most = max(rhythm.evidence for rhythm in rhythms.values())
    lagging = most > max(rhythm.late_nats for rhythm in rhythms.values())
    return Said(
        "late",
        "lagging" if lagging else "late",
        max(0.0, most - math.log(fleet)) / _LN10,
        sources,
        sources[0],
        _late_summary(rhythms, workers, fleet, observers),
        {"together": bool(observers), **_all_numbers("late", rhythms, workers, fleet, now)},
    )


def of_pauses(pauses: Sequence[Pause], late: Said | None) -> Said:
    """Workers that were silent and go on, besides those that are late."""
    ended = {
        pause.worker: {"silent_s": round(pause.silent_s, 3), "worked_on": pause.worked_on}
        for pause in pauses[:_MAX_NAMED]
    }
    summary = "; ".join(str(pause) for pause in pauses[:_MAX_NAMED])
    workers = tuple(sorted(pause.worker for pause in pauses))
    score = max(pause.score for pause in pauses)
    if late is None:
        return Said("late", "paused", score, workers, workers[0], summary, {"paused": ended})
    return late._replace(
        sources=tuple(sorted({*late.sources, *workers})),
        summary=f"{summary}; {late.summary}",
        evidence={**late.evidence, "paused": ended},
    )


def _blamed(rhythms: Mapping[str, Rhythm], everybody: Collection[Rhythm]) -> tuple[str, ...]:
    """The observers most of whose workers are late together."""
    late: dict[str, int] = {}
    for rhythm in rhythms.values():
        late[rhythm.observer] = late.get(rhythm.observer, 0) + 1
    suspects = {name for name, count in late.items() if name and count >= _TOGETHER_MIN}
    if not suspects:
        return ()
    whole: dict[str, int] = {}
    for rhythm in everybody:
        if rhythm.observer in suspects and rhythm.left_at is None:
            whole[rhythm.observer] = whole.get(rhythm.observer, 0) + 1
    return tuple(sorted(name for name in suspects if late[name] >= _TOGETHER_SHARE * whole.get(name, 1)))


def _lost_summary(rhythms: Mapping[str, Rhythm], workers: Sequence[str], fleet: int, now: float) -> str:
    """Who is lost, since when, and why that is assumed."""
    parts = ", ".join(_lost(worker, rhythms[worker], now) for worker in workers[:_MAX_NAMED])
    return f"{len(workers)} of {fleet} workers lost: {parts}"


def _late_summary(rhythms: Mapping[str, Rhythm], workers: Sequence[str], fleet: int, observers: Sequence[str]) -> str:
    """Whose heartbeats have become longer, and how much."""
    parts = ", ".join(_late(worker, rhythms[worker]) for worker in workers[:_MAX_NAMED])
    said = f"heartbeats of {len(workers)} of {fleet} workers degraded: {parts}"
    if observers:
        said += f"; so many together point to their observer {', '.join(observers)} or the network before it"
    return said


def _all_numbers(
    scope: str, rhythms: Mapping[str, Rhythm], workers: Sequence[str], fleet: int, now: float
) -> dict[str, Any]:
    """The numbers behind it."""
    return {"workers": fleet, scope: {worker: _numbers(rhythms[worker], now) for worker in workers[:_MAX_NAMED]}}


def _numbers(rhythm: Rhythm, now: float) -> dict[str, Any]:
    median_s, longest_s = _pace(rhythm).now()
    return {
        "interval_s": round(rhythm.usual, 4),
        "recent_median_s": round(median_s, 4),
        "recent_longest_s": round(longest_s, 4),
        "silence_s": round(now - rhythm.heard, 3),
        "late_nats": round(rhythm.evidence, 2),
        "reason": rhythm.lost_reason,
    }


def _pace(rhythm: Rhythm) -> Pace:
    paces = (rhythm.beats, rhythm.means, rhythm.answers, rhythm.lags)
    return max((pace for pace in paces if pace is not None), key=lambda pace: pace.lateness.evidence)


def _lost(worker: str, rhythm: Rhythm, now: float) -> str:
    reason = rhythm.lost_reason or "silent"
    if not rhythm.usual:
        return f"{worker} ({reason})"
    silence_s = (rhythm.lost_at if rhythm.lost_at is not None else now) - rhythm.heard
    return f"{worker} ({reason}, no heartbeat for {max(0.0, silence_s):.1f} s, expected every {rhythm.usual:.2g} s)"


def _late(worker: str, rhythm: Rhythm) -> str:
    pace = _pace(rhythm)
    median_s, longest_s = pace.now()
    what = {id(rhythm.lags): "its event loop is late by", id(rhythm.answers): "answered after"}.get(id(pace), "every")
    before = f"was {pace.usual:.2g} s, at most {pace.bound:.2g} s"
    return f"{worker} ({what} {median_s:.2g} s, up to {longest_s:.2g} s; {before})"
