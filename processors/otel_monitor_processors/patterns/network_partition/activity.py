"""Who there is: signs of life of each source, second by second, and who reports to whom."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from otel_monitor_processors.observation import ORCHESTRATOR_PEER

_KEPT_S = 64
_MAX_MEMBERS = 10_000
_NEVER = -math.inf


class Member:
    """What is known of one source.

    The last 64 seconds in which it gave a sign of life itself, as bits of one number; its service; when its last
    heartbeat was received and by whom.
    """

    __slots__ = ("_bits", "_second", "exported", "first", "given_up", "heard", "observer", "service", "worker")

    def __init__(self) -> None:
        self._second = 0
        self._bits = 0
        self.first = math.inf
        self.service = ""
        self.exported = _NEVER
        """When its own metrics came last."""
        self.heard = _NEVER
        self.given_up = _NEVER
        """When its observer gave it up as lost."""
        self.observer = ""
        self.worker = False
        """Whether somebody gives it tasks or hears its heartbeats."""

    @property
    def last(self) -> float:
        """The last second with a sign of life, 0 for none."""
        return float(self._second)

    def alive(self, at: float) -> None:
        """It gave a sign of life."""
        second = int(at)
        shift = second - self._second
        if shift > 0:
            self._bits = (self._bits << shift | 1) & (1 << _KEPT_S) - 1 if shift < _KEPT_S else 1
            self._second = second
        elif shift > -_KEPT_S:
            self._bits |= 1 << -shift
        self.first = min(self.first, at)

    def seconds_alive(self, start: float, end: float) -> int:
        """In how many of the seconds from `start` on, before `end`, there was a sign of life."""
        newest = min(int(end), self._second)
        oldest = max(int(start) + 1, self._second - _KEPT_S + 1)
        if newest < oldest:
            return 0
        window = self._bits >> (self._second - newest) & (1 << newest - oldest + 1) - 1
        return window.bit_count()

    def alive_in(self, seconds: Iterable[int]) -> int:
        """In how many of these seconds there was a sign of life."""
        ages = (self._second - second for second in seconds)
        return sum(self._bits >> age & 1 for age in ages if 0 <= age < _KEPT_S)

    def dump(self) -> list[Any]:
        times = [at if math.isfinite(at) else None for at in (self.first, self.heard, self.exported, self.given_up)]
        return [self._second, self._bits, *times, self.service, self.observer, self.worker]

    @classmethod
    def load(cls, state: list[Any]) -> Member:
        member = cls()
        member._second, member._bits, first, heard, exported, given_up = state[:6]
        member.service, member.observer, member.worker = state[6:]
        member.given_up = -math.inf if given_up is None else given_up
        member.exported = -math.inf if exported is None else exported
        member.first = math.inf if first is None else first
        member.heard = -math.inf if heard is None else heard
        return member


class Fleet:
    """All sources that are known, at most 10,000: the one seen first is let go first."""

    def __init__(self) -> None:
        self.dropped = 0
        self.members: dict[str, Member] = {}
        self.observers: dict[str, None] = {}
        """Who receives heartbeats or gives out tasks."""
        self._services: dict[str, dict[str, None]] = {}

    def member(self, name: str) -> Member:
        """Who it is, known from now on."""
        member = self.members.get(name)
        if member is None:
            if len(self.members) >= _MAX_MEMBERS:
                self._forget(next(iter(self.members)))
            member = self.members[name] = Member()
        return member

    def _forget(self, name: str) -> None:
        gone = self.members.pop(name)
        self.observers.pop(name, None)
        if gone.service in self._services:
            self._services[gone.service].pop(name, None)
        self.dropped += 1

    def alive(self, name: str, at: float, service: str = "") -> None:
        """A source gave a sign of life."""
        member = self.members.get(name) or self.member(name)
        member.alive(at)
        if service and member.service != service:
            self._services.get(member.service, {}).pop(name, None)
            member.service = service
            self._services.setdefault(service, {})[name] = None

    def reports(self, name: str, observer: str) -> Member:
        """A worker belongs to this observer."""
        member = self.members.get(name) or self.member(name)
        member.worker = True
        if observer not in (member.observer, name):
            member.observer = observer
            if observer:
                self.observers[observer] = None
                self.member(observer)
        return member

    @property
    def sole_narrator(self) -> bool:
        """Whether only one source tells of itself: an application that observes itself alone."""
        return sum(member.first < math.inf for member in self.members.values()) == 1

    def of_service(self, service: str) -> dict[str, None]:
        """The instances of a service."""
        return self._services.get(service, {})

    def node(self, source: str, peer: str) -> str:
        """Whom a source means by a peer: an instance, if that can be told, else what it calls it."""
        if peer == ORCHESTRATOR_PEER:
            member = self.members.get(source)
            if member is not None and member.observer:
                return member.observer
            return next(iter(self.observers)) if len(self.observers) == 1 else peer
        if peer in self.members:
            return peer
        instances = self._services.get(peer)
        return next(iter(instances)) if instances is not None and len(instances) == 1 else peer

    def reset(self) -> None:
        self.members.clear()
        self.observers.clear()
        self._services.clear()
        self.dropped = 0

    def dump(self) -> dict[str, Any]:
        return {
            "dropped": self.dropped,
            "members": [[name, member.dump()] for name, member in self.members.items()],
            "observers": list(self.observers),
            "services": [[service, list(names)] for service, names in self._services.items()],
        }

    def load(self, state: dict[str, Any]) -> None:
        self.reset()
        self.dropped = state["dropped"]
        self.members = {name: Member.load(member) for name, member in state["members"]}
        self.observers = dict.fromkeys(state["observers"])
        self._services = {service: dict.fromkeys(names) for service, names in state["services"]}
