"""What is said of an imbalance."""

from __future__ import annotations

from typing import Any

from otel_monitor_processors.patterns.load_imbalance.excess import Excess

HELD = "tasks held"


def shares_of(excess: Excess) -> dict[str, float]:
    """Each worker's share of all, the heaviest first."""
    shares = {item.worker: item.calls / item.total for item in excess.suspicions}
    return dict(sorted(shares.items(), key=lambda item: (-item[1], item[0])))


def summary(kind: str, service: str, excess: Excess, workers: int, now: float) -> str:
    """One sentence with the numbers."""
    shares = shares_of(excess)
    heaviest = next(iter(shares))
    usual = sum(item.share for item in excess.suspicions)
    lasts_s = now - min(item.since for item in excess.suspicions)
    who = heaviest if len(shares) == 1 else f"{len(shares)} workers, {heaviest} first,"
    verb = "got" if kind != HELD else "has" if len(shares) == 1 else "have"
    time = f"in {lasts_s:.0f} s" if kind != HELD else f"for {lasts_s:.0f} s"
    return (
        f"{who} {verb} {min(1.0, sum(shares.values())):.0%} of the {kind} among {workers} workers"
        f" of {service or 'one fleet'} {time}; usual is {usual:.0%}"
    )


def evidence(kind: str, excess: Excess, workers: int) -> dict[str, Any]:
    """The numbers behind it, of at most 50 workers."""
    return {
        "kind": kind,
        "score": round(excess.score, 2),
        "since": min(item.since for item in excess.suspicions),
        "calls": round(sum(item.calls for item in excess.suspicions), 1),
        "total": round(max(item.total for item in excess.suspicions), 1),
        "workers": workers,
        "shares": {worker: round(share, 3) for worker, share in sorted(shares_of(excess).items())[:50]},
        "usual": {item.worker: round(item.share, 3) for item in excess.suspicions[:50]},
    }
