"""Rounds: alerts are put into their groups, and each group is looked at when it is due."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from otel_monitor_processors.alerts.alert import Alert, State
from otel_monitor_processors.alerts.decision import Decisions, Stage
from otel_monitor_processors.alerts.grouping import Group, Groups
from otel_monitor_processors.alerts.held import instant
from otel_monitor_processors.alerts.roster import Roster, Tracked
from otel_monitor_processors.alerts.route import Route, all_places, places
from otel_monitor_processors.alerts.teller import Teller

_PROMPT_S = 60.0
"""A group that is looked at no later than this is looked at as of the time it was due."""


class Rounds:
    """Knows which groups hold which alerts, and has the teller say what there is to say of each.

    Nothing is told before `not_before` (unix seconds).
    """

    def __init__(
        self, route: Route, roster: Roster, teller: Teller, decisions: Decisions, not_before: float = -math.inf
    ) -> None:
        self._route = route
        self._roster = roster
        self._teller = teller
        self._decisions = decisions
        self._not_before = not_before
        self._groups = Groups()

    def join(self, tracked: Tracked, now: float) -> None:
        """Put an alert into its groups. A group's first message waits, unless an alert has waited long enough."""
        alert = tracked.alert
        for place in places(self._route, tracked.labels):
            wait_s = place.route.group_wait_s
            since = alert.fired_at if alert.fired_at is not None else alert.active_at
            overdue = since + wait_s < now
            due_at = max(self._not_before, now if overdue else now + wait_s)
            group = self._groups.at(place, place.route.group_labels(tracked.labels), due_at)
            if not group.flushed and overdue and group.due_at > due_at:
                self._groups.schedule(group, due_at)
            if alert.fingerprint not in group.members:
                group.members[alert.fingerprint] = False
                tracked.groups.add(group.key)
                words = f"grouped until {instant(group.due_at)}"
                self._decisions.note(alert.fingerprint, Stage.GROUPING, words, now, until=group.due_at)

    def hurry(self, tracked: Tracked, now: float) -> None:
        """Another severity of the same alert does not wait for its group."""
        for group in self.groups_of(tracked):
            self._groups.schedule(group, max(now, self._not_before))

    def groups_of(self, tracked: Tracked) -> Iterator[Group]:
        """The groups that hold an alert, always in the same order."""
        return filter(None, map(self._groups.get, sorted(tracked.groups)))

    def next_due(self) -> float | None:
        """When the first group is due; None when there is none."""
        return self._groups.next_due()

    @property
    def overflowed(self) -> int:
        """How many groups there was no room for."""
        return self._groups.overflowed

    def go(self, until: float, now: float) -> None:
        """Look at every group that is due `until` then, in the order of time, at `now`."""
        while (group := self._groups.due(until)) is not None:
            prompt = until - group.due_at <= max(_PROMPT_S, group.route.group_interval_s)
            self._look_at(group, group.due_at if prompt else now)

    def _look_at(self, group: Group, at: float) -> None:
        """Say of a group what is to be said, and let go of what is over."""
        members = [self._roster[fingerprint].alert for fingerprint in group.members]
        drafts = self._teller.tell(group, members, at)
        kept = {fingerprint for draft in drafts for fingerprint in draft.kept}
        for alert in members:
            if alert.state is State.FIRING:
                group.members[alert.fingerprint] = True
            elif alert.fingerprint not in kept:
                self._leave(group, alert)
        group.flushed = True
        if not group.members:
            self._groups.remove(group)
            return
        again = min((draft.again_at for draft in drafts if draft.again_at is not None), default=math.inf)
        self._groups.schedule(group, min(at + group.route.group_interval_s, max(again, math.nextafter(at, math.inf))))

    def _leave(self, group: Group, alert: Alert) -> None:
        del group.members[alert.fingerprint]
        self._teller.forget(group, alert.fingerprint)
        tracked = self._roster[alert.fingerprint]
        tracked.groups.discard(group.key)
        if not tracked.groups:
            self._roster.drop(alert.fingerprint)

    def dump(self) -> list[Any]:
        return self._groups.dump()

    def load(self, state: list[Any], now: float) -> None:
        """Take up what `dump` has given, and tie alerts and groups together again."""
        self._groups.load(state, {place.path: place for place in all_places(self._route)})
        for group in self._groups:
            for fingerprint in list(group.members):
                tracked = self._roster.get(fingerprint)
                if tracked is None:
                    del group.members[fingerprint]
                else:
                    tracked.groups.add(group.key)
        for tracked in self._roster.tracked():
            if tracked.alert.state is State.FIRING:
                self.join(tracked, now)
            elif not tracked.groups:
                self._roster.drop(tracked.alert.fingerprint)
