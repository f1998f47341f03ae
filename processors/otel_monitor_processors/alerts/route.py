"""Routes: a tree that decides which channels are told of an alert, how grouped and how often."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from otel_monitor_processors.alerts.matcher import Matchers, all_match

EVERY_LABEL = "..."
"""In `group_by`: every label set is a group of its own."""
GROUP_WAIT_S = 30.0
GROUP_INTERVAL_S = 300.0
REPEAT_INTERVAL_S = 4 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A node of the tree. An alert goes down to the deepest nodes that match; the first child that does takes it.

    With `goes_on` the next children are tried as well. `channels` None means all that there are. A group's first
    notification waits `group_wait_s` for further alerts, later ones `group_interval_s` after the one before;
    what is still firing is told again after `repeat_interval_s`. Defaults: Alertmanager's.
    """

    matchers: Matchers = ()
    channels: tuple[str, ...] | None = None
    group_by: tuple[str, ...] = ("rule",)
    group_wait_s: float = GROUP_WAIT_S
    group_interval_s: float = GROUP_INTERVAL_S
    repeat_interval_s: float = REPEAT_INTERVAL_S
    goes_on: bool = False
    send_resolved: bool = True
    routes: tuple[Route, ...] = ()

    def group_labels(self, labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        """What an alert of these labels is grouped by."""
        if EVERY_LABEL in self.group_by:
            return tuple(sorted(labels.items()))
        return tuple((name, labels.get(name, "")) for name in sorted(self.group_by))


DEFAULT_ROUTE = Route()
"""Everything to all channels, a group for each rule."""


@dataclass(frozen=True, slots=True)
class Place:
    """A node with its place in the tree: the same as long as the way to it is the same."""

    path: str
    route: Route


def places(root: Route, labels: Mapping[str, str]) -> list[Place]:
    """Where an alert of these labels goes: every node that takes it, in the order of the tree. Never nowhere."""
    return list(_descend(root, "", labels))


def all_places(root: Route, path: str = "") -> Iterator[Place]:
    """Every node of the tree."""
    yield Place(path, root)
    for index, child in enumerate(root.routes):
        yield from all_places(child, _below(path, root, index))


def _descend(route: Route, path: str, labels: Mapping[str, str]) -> Iterator[Place]:
    taken = False
    for index, child in enumerate(route.routes):
        if not all_match(child.matchers, labels):
            continue
        taken = True
        yield from _descend(child, _below(path, route, index), labels)
        if not child.goes_on:
            break
    if not taken:
        yield Place(path, route)


def _below(path: str, route: Route, index: int) -> str:
    """A child is told by its matchers, so that others may come and go; its like before it are counted."""
    matchers = route.routes[index].matchers
    alike = sum(child.matchers == matchers for child in route.routes[:index])
    return f"{path}/{{{','.join(map(str, matchers))}}}" + (f"#{alike}" if alike else "")
