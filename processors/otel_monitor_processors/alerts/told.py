"""What each channel has been told of each group: so that it hears what is new to it, and nothing twice."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

_MAX_RECORDS = 20_000
_KEPT_S = 5 * 24 * 3600.0
"""How long it is remembered that a group was told, when nothing of it is firing any more."""


@dataclass(slots=True)
class Told:
    """What one channel knows of one group.

    `number` and `at` are those of the last message. `believed` are the alerts that the receiver must take to be
    firing, each with its severity: they are owed a resolution. `current` are those of them that are not news if
    they are firing still: what has been held back meanwhile is. `flaps` are the spells of flapping it knows of.
    """

    number: int = 0
    at: float = -math.inf
    believed: dict[str, str] = field(default_factory=dict)
    current: dict[str, str] = field(default_factory=dict)
    flaps: dict[str, float] = field(default_factory=dict)

    def forget(self, fingerprint: str) -> None:
        """An alert is over, and that has been dealt with."""
        self.believed.pop(fingerprint, None)
        self.current.pop(fingerprint, None)
        self.flaps.pop(fingerprint, None)


class Ledger:
    """The records of all groups and channels; at most 20,000, the longest untouched leaves first."""

    def __init__(self) -> None:
        self._records: OrderedDict[tuple[str, str], Told] = OrderedDict()
        self.dropped = 0

    def of(self, group_key: str, channel: str) -> Told:
        """The record of a group and a channel, an empty one if nothing was told yet."""
        key = (group_key, channel)
        told = self._records.get(key)
        if told is None:
            if len(self._records) >= _MAX_RECORDS:
                self._records.popitem(last=False)
                self.dropped += 1
            told = self._records[key] = Told()
        else:
            self._records.move_to_end(key)
        return told

    def reached(self, group_key: str, channel: str, at: float) -> None:
        """A message of a group has reached its channel, at `at` and no sooner."""
        told = self._records.get((group_key, channel))
        if told is not None:
            told.at = max(told.at, at)

    def believed(self, channel: str) -> dict[str, str]:
        """The alerts that a channel must take to be firing, by fingerprint, with the severity that it was told."""
        mine = (told.believed for (_, name), told in self._records.items() if name == channel)
        return {fingerprint: severity for believed in mine for fingerprint, severity in believed.items()}

    def forget(self, now: float) -> None:
        """Let go of what was settled long ago."""
        for key in [key for key, told in self._records.items() if not told.believed and told.at < now - _KEPT_S]:
            del self._records[key]

    def dump(self) -> list[Any]:
        return [
            [*key, told.number, told.at if told.number else None, told.believed, told.current, told.flaps]
            for key, told in self._records.items()
        ]

    def load(self, state: Iterable[Any]) -> None:
        self._records = OrderedDict(
            (
                (key, channel),
                Told(number, -math.inf if at is None else at, dict(believed), dict(current), dict(flaps)),
            )
            for key, channel, number, at, believed, current, flaps in state
        )
