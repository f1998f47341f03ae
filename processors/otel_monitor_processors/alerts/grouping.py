"""Groups: alerts that are told together, and when each group is due."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from otel_monitor_processors.alerts.route import EVERY_LABEL, Place, Route
from otel_monitor_processors.alerts.rule import Labels

_MAX_GROUPS = 10_000
_OVERFLOW: Labels = (("otel_monitor", "too many groups"),)


class Group:
    """Alerts of one route that agree in the labels they are grouped by.

    `due_at` is when it is looked at next. `members` are the fingerprints of its alerts, each with whether the
    group has been looked at while that alert was firing.
    """

    __slots__ = ("due_at", "flushed", "key", "labels", "members", "place")

    def __init__(self, place: Place, labels: Labels, due_at: float) -> None:
        self.place = place
        self.labels = labels
        self.key = group_key(place, labels)
        self.due_at = due_at
        self.flushed = False
        self.members: dict[str, bool] = {}

    @property
    def route(self) -> Route:
        return self.place.route


def group_key(place: Place, labels: Labels) -> str:
    """Identity of a group: its place in the tree of routes, and what its alerts have in common."""
    inner = ",".join(f'{name}="{value}"' for name, value in labels)
    return f"{place.path or '/'}:{{{inner}}}"


class Groups:
    """All groups, with a queue of when they are due; at most 10,000.

    What would need one more goes into one common group of its route, so that nothing goes untold.
    """

    def __init__(self) -> None:
        self._groups: OrderedDict[str, Group] = OrderedDict()
        self._queue: list[tuple[float, str]] = []
        self.overflowed = 0

    def get(self, key: str) -> Group | None:
        return self._groups.get(key)

    def at(self, place: Place, labels: Labels, due_at: float) -> Group:
        """The group of `labels` at a place; a new one is due at `due_at`."""
        found = self._groups.get(group_key(place, labels))
        if found is not None:
            return found
        if len(self._groups) >= _MAX_GROUPS and labels != _OVERFLOW:
            self.overflowed += 1
            return self.at(place, _OVERFLOW, due_at)
        group = Group(place, labels, due_at)
        self._groups[group.key] = group
        self.schedule(group, due_at)
        return group

    def schedule(self, group: Group, due_at: float) -> None:
        group.due_at = due_at
        heapq.heappush(self._queue, (due_at, group.key))

    def remove(self, group: Group) -> None:
        self._groups.pop(group.key, None)

    def due(self, now: float) -> Group | None:
        """The group that is due first, if it is at `now`."""
        due_at = self.next_due()
        return self._groups[self._queue[0][1]] if due_at is not None and due_at <= now else None

    def next_due(self) -> float | None:
        """When the first group is due; None when there is none."""
        while self._queue:
            due_at, key = self._queue[0]
            group = self._groups.get(key)
            if group is not None and group.due_at == due_at:
                return due_at
            heapq.heappop(self._queue)  # it is gone, or due at another time
        return None

    def __iter__(self) -> Iterator[Group]:
        return iter(list(self._groups.values()))

    def __len__(self) -> int:
        return len(self._groups)

    def dump(self) -> list[Any]:
        return [
            [group.place.path, [list(pair) for pair in group.labels], group.due_at, group.flushed, group.members]
            for group in self._groups.values()
        ]

    def load(self, state: list[Any], places: dict[str, Place]) -> None:
        """Take up a state; groups of routes that are no more, or that group differently now, are left out."""
        self._groups.clear()
        self._queue.clear()
        for path, pairs, due_at, flushed, members in state:
            labels = tuple((name, value) for name, value in pairs)
            place = places.get(path)
            if place is None or not (labels == _OVERFLOW or _groups_so(place.route, labels)):
                continue
            group = self.at(place, labels, due_at)
            group.flushed = flushed
            group.members = dict(members)


def _groups_so(route: Route, labels: Labels) -> bool:
    return EVERY_LABEL in route.group_by or tuple(name for name, _ in labels) == tuple(sorted(route.group_by))
