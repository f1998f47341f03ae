"""Signs of life: what else is heard of a worker than the heartbeats that its observer receives."""

from __future__ import annotations

from typing import Any

_APART_S = 0.5
"""Signs closer together are one."""
_KNOWN = 5
_FADES = 0.05
_HOLE = 3.0
_SHORTEST_HOLE_S = 3.0
_NEVER = -1e18
_NO_HOLE = (_NEVER, _NEVER)


class Signs:
    """A worker's own telemetry, and that others give it work.

    `alive_at` is when it last said anything itself, `wanted_at` when somebody last gave it work and was not
    refused, `hole` the last stretch in which it said nothing although it used to: (from, to).
    """

    __slots__ = ("_count", "_pace_s", "alive_at", "hole", "wanted_at")

    def __init__(self) -> None:
        self.alive_at = _NEVER
        self.wanted_at = _NEVER
        self.hole = _NO_HOLE
        self._pace_s = 0.0
        self._count = 0

    def live(self, at: float) -> None:
        """It has said something itself."""
        gap_s = at - self.alive_at
        if gap_s < _APART_S:
            if gap_s > 0.0:
                self.alive_at = at
            return
        if self._count:
            if self.is_quiet(at):
                self.hole = (self.alive_at, at)
            elif gap_s > self._pace_s:
                self._pace_s = gap_s
            else:
                self._pace_s += _FADES * (gap_s - self._pace_s)
        self._count += self._count < _KNOWN
        self.alive_at = at

    def is_quiet(self, now: float) -> bool:
        """Whether it has said nothing for several times as long as it usually takes."""
        return self._count >= _KNOWN and now - self.alive_at > max(_SHORTEST_HOLE_S, _HOLE * self._pace_s)

    def dump(self) -> list[Any]:
        return [self.alive_at, self.wanted_at, list(self.hole), self._pace_s, self._count]

    @classmethod
    def load(cls, state: list[Any]) -> Signs:
        signs = cls()
        signs.alive_at, signs.wanted_at, hole, signs._pace_s, signs._count = state
        signs.hole = (hole[0], hole[1])
        return signs
