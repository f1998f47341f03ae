"""One instance's failures, by what tells of them."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

SPANS, COUNTS, LOGS = range(3)
"""Channels: what the same failures are told by. They are never added up, the strongest counts."""

_BUCKET_S = 5.0


class Answers(NamedTuple):
    """What a source has answered, as one channel tells it."""

    at: float
    service: str
    source: str
    channel: int
    calls: int
    failures: int
    unreached: int = 0
    """So many of the failures were not to have reached somebody."""
    busy_s: float = 0.0


class FailingSource:
    """One instance's failures: those of the last window, and since its service began to fail."""

    __slots__ = ("exported", "kept", "recent", "service")

    def __init__(self, service: str) -> None:
        self.service = service
        self.recent: deque[list[int]] = deque()
        """Bucket, and the failures in it by channel."""
        self.kept = [0, 0, 0]
        self.exported = [0.0, 0.0, 0.0, 0.0, 0.0]
        """Of metrics: the last export, the interval before it, its calls, its failures; when failures came first."""

    def add(self, at: float, channel: int, failures: int) -> None:
        index = int(at // _BUCKET_S)
        recent = self.recent
        if not recent or index > recent[-1][0]:
            recent.append([index, 0, 0, 0])
        recent[-1][1 + channel] += failures

    def roll(self, now: float, window_s: float, keep: bool) -> None:
        """Let go of what has left the window; while its service fails, remember how much that was."""
        oldest = int((now - window_s) // _BUCKET_S)
        recent = self.recent
        while recent and recent[0][0] <= oldest:
            bucket = recent.popleft()
            if keep:
                for channel in (SPANS, COUNTS, LOGS):
                    self.kept[channel] += bucket[1 + channel]
        if not keep:
            self.kept = [0, 0, 0]

    def export(self, at: float, interval_s: float, calls: int, failures: int) -> None:
        """One point of an export; several of them, of the same time, make up one."""
        exported = self.exported
        if at > exported[0]:
            exported[:4] = [at, interval_s, 0.0, 0.0]
        exported[2] += calls
        exported[3] += failures
        if failures and not exported[4]:
            exported[4] = at

    @property
    def failures(self) -> int:
        """Failures as the most complete channel tells them."""
        return max(
            kept + sum([bucket[1 + channel] for bucket in self.recent]) for channel, kept in enumerate(self.kept)
        )

    @property
    def counted_s(self) -> float:
        """How long its metrics prove that it has failed, in seconds."""
        at, interval_s, calls, failures, first_at = self.exported
        if not failures:
            return 0.0
        return max(at - first_at, interval_s * failures / calls)

    def dump(self) -> list[Any]:
        return [self.service, list(map(list, self.recent)), self.kept, self.exported]

    @classmethod
    def load(cls, state: list[Any]) -> FailingSource:
        source = cls(state[0])
        source.recent = deque(list(bucket) for bucket in state[1])
        source.kept, source.exported = list(state[2]), list(state[3])
        return source
