"""Flapping: an alert that comes and goes so often that its single changes are no news.

Method: Nagios' (its documentation, "Detection and Handling of State Flapping"): of the last 21 states the 20
changes between them are weighed, the oldest 0.75 and the newest 1.25; the sum of the weights of those that are
changes, as a percentage of 20, starts flapping at `high` and ends it at `low`; between them nothing changes.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

_STATES = 21
_CHANGES = _STATES - 1
_OLDEST, _NEWEST = 0.75, 1.25
_WEIGHTS = tuple(_OLDEST + (_NEWEST - _OLDEST) * index / (_CHANGES - 1) for index in range(_CHANGES))
_MAX_HISTORIES = 20_000
OK = 0
"""The state of an alert that is not firing; that of a firing one is the number of its severity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlapPolicy:
    """From which share of changes (percent) an alert flaps, and at which it has come to rest.

    A state is noted at every change, and every `interval_s` without one. Without `enabled` nothing flaps.
    """

    enabled: bool = True
    high: float = 20.0
    low: float = 5.0
    interval_s: float = 60.0


def percent_changed(states: Iterable[int]) -> float:
    """The weighted share of changes among the last 21 states, oldest first; what is missing was as the oldest."""
    known = list(states)[-_STATES:] or [OK]
    padded = known[:1] * (_STATES - len(known)) + known
    changed = [weight for weight, (before, after) in zip(_WEIGHTS, pairwise(padded), strict=True) if before != after]
    return sum(changed) * 100.0 / _CHANGES


@dataclass(slots=True)
class _History:
    """The last states of one alert, when the last of them was noted, and since when it has been flapping."""

    states: deque[int]
    at: float
    since: float | None = None


@dataclass(frozen=True, slots=True)
class Flap:
    """An alert flaps: how much of its last states are changes, since when, and until when if it stays as it is."""

    percent: float
    since: float
    until: float

    def words(self) -> str:
        return f"flapping: {self.percent:.0f} % of its last states are changes"


class Flapping:
    """The recent states of every alert, by fingerprint; at most 20,000, the longest unchanged leaves first."""

    def __init__(self, policy: FlapPolicy) -> None:
        self._policy = policy
        self._histories: OrderedDict[str, _History] = OrderedDict()
        self.dropped = 0

    def note(self, fingerprint: str, state: int, now: float) -> None:
        """An alert has this state since `now`."""
        if not self._policy.enabled:
            return
        history = self._histories.get(fingerprint)
        if history is None:
            history = self._new(fingerprint, now)
        self._pass(history, now)
        if state == history.states[-1]:
            return
        self._push(history, state, now)
        history.at = now
        self._histories.move_to_end(fingerprint)

    def _new(self, fingerprint: str, now: float) -> _History:
        if len(self._histories) >= _MAX_HISTORIES:
            self._histories.popitem(last=False)
            self.dropped += 1
        history = _History(deque([OK] * _STATES, maxlen=_STATES), now)
        self._histories[fingerprint] = history
        return history

    def of(self, fingerprint: str, now: float) -> Flap | None:
        """How an alert flaps at `now`; None when it does not."""
        history = self._histories.get(fingerprint)
        if history is None or not self._policy.enabled:
            return None
        self._pass(history, now)
        if history.since is None:
            return None
        return Flap(percent_changed(history.states), history.since, self._rest_at(history))

    def _pass(self, history: _History, now: float) -> None:
        """Note the unchanged state once for every interval up to `now`."""
        steps = math.floor((now - history.at) / self._policy.interval_s)
        if steps <= 0:
            return
        for step in range(min(steps, _STATES)):
            self._push(history, history.states[-1], history.at + (step + 1) * self._policy.interval_s)
        history.at += steps * self._policy.interval_s

    def _push(self, history: _History, state: int, at: float) -> None:
        history.states.append(state)
        percent = percent_changed(history.states)
        if history.since is None and percent >= self._policy.high:
            history.since = at
        elif history.since is not None and percent <= self._policy.low:
            history.since = None

    def _rest_at(self, history: _History) -> float:
        states = deque(history.states, maxlen=_STATES)
        for step in range(1, _STATES + 1):
            states.append(states[-1])
            if percent_changed(states) <= self._policy.low:
                return history.at + step * self._policy.interval_s
        return history.at + _STATES * self._policy.interval_s

    def forget(self, now: float, alive: Iterable[str]) -> None:
        """Let go of those that have been at rest throughout and are not among the living."""
        living = set(alive)
        for fingerprint, history in list(self._histories.items()):
            self._pass(history, now)
            if fingerprint not in living and not any(history.states):
                del self._histories[fingerprint]

    def dump(self) -> list[Any]:
        return [[name, list(h.states), h.at, h.since] for name, h in self._histories.items()]

    def load(self, state: Iterable[Any]) -> None:
        self._histories = OrderedDict(
            (name, _History(deque(states, maxlen=_STATES), at, since)) for name, states, at, since in state
        )
