"""The register of deaths: who has died when, and who was given up although it lived."""

from __future__ import annotations

from collections import deque
from typing import Any

from otel_monitor_processors.patterns.cascading_failures.deaths import Death

_MAX = 256
_LONGEST_GAP_S = 150.0
"""Deaths further apart than this have nothing to do with each other."""
_FRESH_S = 90.0
_SAME_S = 5.0


class DeathRegister:
    """Deaths of the last minutes. `dead` are those that are dead, or gone; `died_at` when each died last."""

    def __init__(self) -> None:
        self.dropped = 0
        self.dead: dict[str, None] = {}
        self.died_at: dict[str, float] = {}
        self._deaths: deque[Death] = deque(maxlen=_MAX)
        self._mistakes: deque[float] = deque(maxlen=_MAX)

    def enter(self, death: Death) -> bool:
        """A worker has died. False if that was known before."""
        same_s = _FRESH_S if death.worker in self.dead else _SAME_S
        known = [other for other in self._deaths if other.worker == death.worker and death.at - other.at < same_s]
        if known and (known[-1].proven or not death.proven):
            return False
        if known:
            self._deaths.remove(known[-1])
        self.dead[death.worker] = None
        self.died_at[death.worker] = death.at
        self.record(death)
        return True

    def record(self, death: Death) -> None:
        """A death of a worker that is back already."""
        if len(self._deaths) == _MAX:
            self.dropped += 1
        self._deaths.append(death)

    def revoke(self, worker: str, at: float) -> None:
        """It goes on as if nothing had been: it had not died."""
        died_at = self.died_at.pop(worker, 0.0)
        kept = [death for death in self._deaths if death.worker != worker or death.at != died_at]
        self._deaths.clear()
        self._deaths.extend(kept)
        self.dead.pop(worker, None)
        self.mistaken(at)

    def mistaken(self, at: float) -> None:
        """A worker has been given up that lives."""
        self._mistakes.append(at)

    def mistakes_since(self, at: float) -> int:
        return sum(mistake > at for mistake in self._mistakes)

    def run(self, now: float) -> list[Death]:
        """The deaths that go on or have just ended, none long after the one before, in order."""
        while self._deaths and now - self._deaths[0].known_at > 2 * _LONGEST_GAP_S:
            self._deaths.popleft()
        if not self._deaths:
            self.died_at.clear()
            return []
        deaths = sorted(self._deaths)
        if now - max(death.known_at for death in deaths) > _FRESH_S:
            return []
        run = deaths[-1:]
        for death in reversed(deaths[:-1]):
            if run[-1].at - death.at > _LONGEST_GAP_S:
                break
            run.append(death)
        return run[::-1]

    def reset(self) -> None:
        self.dead.clear()
        self.died_at.clear()
        self._deaths.clear()
        self._mistakes.clear()
        self.dropped = 0

    def dump(self) -> dict[str, Any]:
        return {
            "dropped": self.dropped,
            "dead": list(self.dead),
            "died_at": list(self.died_at.items()),
            "deaths": [list(death) for death in self._deaths],
            "mistakes": list(self._mistakes),
        }

    def load(self, state: dict[str, Any]) -> None:
        self.reset()
        self.dropped = state["dropped"]
        self.dead.update(dict.fromkeys(state["dead"]))
        self.died_at.update((worker, at) for worker, at in state["died_at"])
        self._deaths.extend(Death(*death) for death in state["deaths"])
        self._mistakes.extend(state["mistakes"])
