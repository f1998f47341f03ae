"""Deaths in a row: at how many different times workers have died, and how improbable that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from otel_monitor_processors.statistics import log10_poisson_tail

_TOGETHER_S = 2.0
"""What dies within this time has died together, where nobody knows how often it should be heard of."""
_NOTICING_S = 0.5
"""How much longer than an interval it may take until somebody looks."""
_LATE_INTERVALS = 1.5
_USUAL = (0.5, 1_800.0)
"""Deaths that are expected of a system of which nothing is known, and in how many seconds."""
_SHORTEST_S = 60.0
MISTAKES_S = 300.0


class Death(NamedTuple):
    """A worker from which nothing is heard any more since `at`.

    `proven` if somebody has missed it, `felt_at` when others could begin to suffer from it: when somebody noticed,
    as far as that is known. `interval_s` is how often it was heard of before, 0 where that is not known.
    """

    at: float
    worker: str
    known_at: float
    proven: bool
    felt_at: float
    interval_s: float = 0.0

    @property
    def blur_s(self) -> float:
        """How much later than `at` it may have been."""
        return _LATE_INTERVALS * self.interval_s if self.at < self.known_at else 0.0

    @property
    def together_s(self) -> float:
        """Those that die together are missed within one interval."""
        return self.interval_s + _NOTICING_S if self.interval_s else _TOGETHER_S


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


def steps_of(run: list[Death]) -> list[Death]:
    """The deaths of a run, in order, without those that belong to the one before."""
    steps = run[:1]
    for death in run[1:]:
        before = steps[-1]
        apart_s, known_apart_s = death.at - before.at, abs(death.known_at - before.known_at)
        if apart_s <= max(death.together_s, death.blur_s) or known_apart_s <= death.together_s:
            continue
        if death.at + death.blur_s + death.together_s < before.felt_at:
            continue  # it was dead before anybody could have passed the first one's work on to it
        steps.append(death)
    return steps


def rarity(steps: int, lasting_s: float, mistakes: int = 0) -> float:
    """How improbable deaths at so many different times are, as -log10 p.

    Where workers that live have been given up of late, so many `mistakes` within `MISTAKES_S`, others may be, too.
    One proves nothing: it may have been a quick restart.
    """
    rate = _USUAL[0] / _USUAL[1] + max(0, mistakes - 1) / MISTAKES_S
    return -log10_poisson_tail(steps, rate * max(_SHORTEST_S, lasting_s))
