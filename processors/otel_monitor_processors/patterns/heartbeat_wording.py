"""What is said of late and lost workers: in words, and in numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from otel_monitor_processors.patterns.heartbeats import Rhythm
from otel_monitor_processors.patterns.pace import Pace

_MAX_NAMED = 20


def lost(rhythms: Mapping[str, Rhythm], workers: Sequence[str], fleet: int, now: float) -> str:
    """Who is lost, since when, and why that is assumed."""
    parts = ", ".join(_lost(worker, rhythms[worker], now) for worker in workers[:_MAX_NAMED])
    return f"{len(workers)} of {fleet} workers lost: {parts}"


def late(rhythms: Mapping[str, Rhythm], workers: Sequence[str], fleet: int, observers: Sequence[str]) -> str:
    """Whose heartbeats have become longer, and how much."""
    parts = ", ".join(_late(worker, rhythms[worker]) for worker in workers[:_MAX_NAMED])
    said = f"heartbeats of {len(workers)} of {fleet} workers degraded: {parts}"
    if observers:
        said += f"; so many together point to their observer {', '.join(observers)} or the network before it"
    return said


def numbers(rhythms: Mapping[str, Rhythm], workers: Sequence[str], fleet: int, now: float) -> dict[str, Any]:
    """The numbers behind it."""
    return {"workers": fleet, "rhythms": {worker: _numbers(rhythms[worker], now) for worker in workers[:_MAX_NAMED]}}


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
    paces = [rhythm.beats, rhythm.means]
    if rhythm.answers is not None:
        paces.append(rhythm.answers)
    return max(paces, key=lambda pace: pace.lateness.evidence)


def _lost(worker: str, rhythm: Rhythm, now: float) -> str:
    reason = rhythm.lost_reason or "silent"
    if not rhythm.usual:
        return f"{worker} ({reason})"
    silence_s = (rhythm.lost_at if rhythm.lost_at is not None else now) - rhythm.heard
    return f"{worker} ({reason}, no heartbeat for {max(0.0, silence_s):.1f} s, expected every {rhythm.usual:.2g} s)"


def _late(worker: str, rhythm: Rhythm) -> str:
    pace = _pace(rhythm)
    median_s, longest_s = pace.now()
    return f"{worker} (every {median_s:.2g} s, up to {longest_s:.2g} s; was {pace.usual:.2g} s, at most {pace.bound:.2g} s)"
