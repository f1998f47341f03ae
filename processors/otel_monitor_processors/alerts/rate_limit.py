"""A limit on how many notifications a channel is handed: a bucket of tokens, filled at a steady rate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `notifications` within `period_s`, as many at once after a quiet time."""

    notifications: int
    period_s: float = 3600.0


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class RateLimits:
    """The bucket of each channel that has a limit."""

    def __init__(self, limits: Mapping[str, RateLimit]) -> None:
        self._limits = dict(limits)
        self._buckets: dict[str, _Bucket] = {}

    def take(self, channel: str, now: float) -> float | None:
        """Use up one notification of `channel`; when there is none, the time at which there will be one again."""
        limit = self._limits.get(channel)
        if limit is None:
            return None
        rate = limit.notifications / limit.period_s
        bucket = self._buckets.setdefault(channel, _Bucket(limit.notifications, now))
        if now > bucket.at:
            bucket.tokens = min(limit.notifications, bucket.tokens + (now - bucket.at) * rate)
            bucket.at = now
        if bucket.tokens < 1.0 - 1e-9:
            return bucket.at + (1.0 - bucket.tokens) / rate
        bucket.tokens -= 1.0
        return None

    def words(self, channel: str) -> str:
        limit = self._limits[channel]
        most = f"{limit.notifications} notification{'' if limit.notifications == 1 else 's'}"
        return f"rate limited: {channel} takes {most} in {limit.period_s:g} s"

    def dump(self) -> dict[str, Any]:
        return {channel: [bucket.tokens, bucket.at] for channel, bucket in self._buckets.items()}

    def load(self, state: Mapping[str, Any]) -> None:
        self._buckets = {channel: _Bucket(*item) for channel, item in state.items() if channel in self._limits}
