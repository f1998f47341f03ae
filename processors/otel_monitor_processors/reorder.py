"""Puts observations in the order of event time, as far as their lateness is allowed."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator
from typing import Any

from otel_monitor_processors.observation import Observation
from otel_monitor_processors.observation_codec import dump_observation, load_observation


class Reorder:
    """Holds observations back until nothing earlier may come any more: `allowed_lateness_s` behind the newest.

    What is later than that is counted in `late`, not passed on. Two of the same time leave in an order that
    depends on their content alone: the order of arrival must not matter.
    """

    def __init__(self, allowed_lateness_s: float) -> None:
        self.late = 0
        self.malformed = 0
        self._lateness_s = allowed_lateness_s
        self._newest = -math.inf
        self._heap: list[tuple[float, str, str, Observation]] = []

    def take(self, observations: Iterable[Observation]) -> Iterator[Observation]:
        """Take in observations, and pass on those whose time has come."""
        for observation in observations:
            if not math.isfinite(observation.at):
                self.malformed += 1
            elif observation.at < self._newest - self._lateness_s:
                self.late += 1
            else:
                self._newest = max(self._newest, observation.at)
                heapq.heappush(self._heap, _entry(observation))
        yield from self._release()

    def advance(self, now: float) -> Iterator[Observation]:
        """Time has passed up to `now`: pass on what need not wait any more."""
        self._newest = max(self._newest, now)
        yield from self._release()

    def _release(self) -> Iterator[Observation]:
        watermark = self._newest - self._lateness_s
        while self._heap and self._heap[0][0] <= watermark:
            yield heapq.heappop(self._heap)[3]

    def __len__(self) -> int:
        return len(self._heap)

    def reset(self) -> None:
        self.late = self.malformed = 0
        self._newest = -math.inf
        self._heap.clear()

    def dump(self) -> dict[str, Any]:
        return {
            "late": self.late,
            "malformed": self.malformed,
            "newest": self._newest if math.isfinite(self._newest) else None,
            "held": [dump_observation(entry[3]) for entry in sorted(self._heap, key=lambda entry: entry[:3])],
        }

    def load(self, state: dict[str, Any]) -> None:
        self.late, self.malformed = state["late"], state["malformed"]
        self._newest = -math.inf if state["newest"] is None else state["newest"]
        self._heap = [_entry(load_observation(item)) for item in state["held"]]


def _entry(observation: Observation) -> tuple[float, str, str, Observation]:
    return observation.at, type(observation).__name__, repr(observation), observation
