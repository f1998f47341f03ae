"""The dispatcher: alerts' transitions go in, notifications for channels come out.

A pure state machine on virtual time: it knows no channel but by name, no clock, thread or file. What it gives out
counts as told, for whoever takes it promises to deliver. However often it is asked in between, the same input
gives the same notifications.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from otel_monitor_processors.alerts.acknowledgement import Acknowledgement
from otel_monitor_processors.alerts.alert import Alert, AlertTransition, State
from otel_monitor_processors.alerts.decision import Decision, Decisions, Stage
from otel_monitor_processors.alerts.flapping import FlapPolicy
from otel_monitor_processors.alerts.grouping import Group, Groups
from otel_monitor_processors.alerts.held import Held, instant
from otel_monitor_processors.alerts.inhibition import DEFAULT_INHIBITIONS, Inhibition
from otel_monitor_processors.alerts.maintenance import MaintenanceWindow
from otel_monitor_processors.alerts.matcher import label_view
from otel_monitor_processors.alerts.merging import merged
from otel_monitor_processors.alerts.notification import Notification
from otel_monitor_processors.alerts.overlays import Overlays
from otel_monitor_processors.alerts.pin import Pin, Pins
from otel_monitor_processors.alerts.rate_limit import RateLimit
from otel_monitor_processors.alerts.route import DEFAULT_ROUTE, Route, all_places, places
from otel_monitor_processors.alerts.silence import Silence
from otel_monitor_processors.alerts.teller import Teller

DUMP_VERSION = 1
_MAX_ALERTS = 20_000
_TIDY_EVERY_S = 3600.0
_PROMPT_S = 60.0
"""A group that is looked at no later than this is looked at as of the time it was due."""


class UnknownAlertError(LookupError):
    """There is no alert of this id."""


class ConflictError(ValueError):
    """The alert is in a state in which that cannot be done."""


@dataclass(slots=True)
class _Tracked:
    """An alert as it is, what matchers see of it, and the groups that hold it."""

    alert: Alert
    labels: Mapping[str, str]
    groups: set[str] = field(default_factory=set)


class Dispatcher:
    """Decides who is told what, when, and keeps why.

    Args:
        channels: the names of all enabled channels.
        route: the root of the tree of routes; it takes what no other does.
        inhibitions: what holds back what.
        maintenance: times at which alerts are expected.
        flapping: from when an alert flaps.
        rate_limits: by channel.
        not_before: nothing is told before this time (unix seconds): the alerts of a whole system can arrive first.
    """

    def __init__(
        self,
        channels: Sequence[str],
        route: Route = DEFAULT_ROUTE,
        *,
        inhibitions: Iterable[Inhibition] = DEFAULT_INHIBITIONS,
        maintenance: Iterable[MaintenanceWindow] = (),
        flapping: FlapPolicy | None = None,
        rate_limits: Mapping[str, RateLimit] | None = None,
        not_before: float = -math.inf,
    ) -> None:
        self._route = route
        self._now = -math.inf
        self._not_before = not_before
        self._tidy_at = -math.inf
        self._tracked: dict[str, _Tracked] = {}
        self._pending: dict[str, Alert] = {}
        self._groups = Groups()
        self._pins = Pins()
        self._decisions = Decisions()
        self._overlays = Overlays(maintenance, inhibitions, flapping or FlapPolicy(), self._labels_of)
        self._teller = Teller(channels, rate_limits or {}, self._overlays, self._decisions)
        self._lost = 0

    # -- time and transitions ---------------------------------------------------------------------------

    def take(self, transition: AlertTransition, now: float | None = None) -> bool:
        """An alert has changed. False: that is no news to anybody, as it was resolved by hand or there is no room.

        `now` is given where the clock of `advance` is not that of the transitions: one that comes from the future
        must not take the dispatcher there.
        """
        self._pass(transition.at if now is None else now, inclusive=False)
        alert = transition.alert
        if alert.state is State.PENDING:
            self._wait(alert, transition)
            return True
        self._pending.pop(alert.fingerprint, None)
        if alert.state is State.INACTIVE:
            self._decide(alert, Stage.CONDITION, transition.reason)
            return True
        if self._pins.swallow(alert):
            return False
        return self._apply(alert, transition.reason)

    def advance(self, now: float) -> list[Notification]:
        """Time has passed up to `now`; what has to be sent because of it, and of all since the last call."""
        self._pass(now, inclusive=True)
        return self._teller.fetch()

    def next_deadline(self) -> float | None:
        """When `advance` may have news although nothing is taken in; None: never."""
        if self._teller.ready:
            return self._now
        times = [at for at in (self._groups.next_due(), self._pins.next_end()) if at is not None]
        return min(times, default=None)

    def _pass(self, now: float, *, inclusive: bool) -> None:
        """Do what was due up to `now`, in its order and as of its time; with `inclusive` what is due at `now` as well.

        What arrives at one moment is taken in before what is due at it: a cause arrives with its symptoms.
        """
        until = now if inclusive else math.nextafter(now, -math.inf)
        self._release_pins(until)
        while (group := self._groups.due(until)) is not None:
            prompt = until - group.due_at <= max(_PROMPT_S, group.route.group_interval_s)
            self._flush(group, group.due_at if prompt else now)
        self._now = max(self._now, now)
        if now >= self._tidy_at:
            self._tidy(now)

    def _tidy(self, now: float) -> None:
        self._tidy_at = now + _TIDY_EVERY_S
        self._overlays.forget(now, self._tracked)
        self._teller.ledger.forget(now)

    # -- alerts -----------------------------------------------------------------------------------------

    def _wait(self, alert: Alert, transition: AlertTransition) -> None:
        if alert.fingerprint not in self._pending and len(self._pending) >= _MAX_ALERTS:
            self._lost += 1
            return
        self._pending[alert.fingerprint] = alert
        if transition.previous is State.INACTIVE and alert.fingerprint not in self._tracked:
            self._decisions.begin(alert.fingerprint)
        words = alert.held or transition.reason
        if alert.due_at is not None:
            words = f"duration {alert.due_at - alert.active_at:g} s not reached before {instant(alert.due_at)}"
        self._decide(alert, Stage.CONDITION, words, held=True, until=alert.due_at)

    def _apply(self, alert: Alert, reason: str) -> bool:
        known = self._tracked.get(alert.fingerprint)
        if known is None and (alert.state is State.RESOLVED or len(self._tracked) >= _MAX_ALERTS):
            self._lost += alert.state is State.FIRING
            return alert.state is State.RESOLVED
        if known is not None:
            alert = merged(known.alert, alert)
        tracked = _Tracked(alert, label_view(alert), known.groups if known is not None else set())
        self._tracked[alert.fingerprint] = tracked
        self._overlays.note(alert, self._now)
        self._decide(alert, Stage.CONDITION, reason)
        if alert.state is State.FIRING:
            self._join(tracked)
            if known is not None and known.alert.state is State.FIRING and known.alert.severity is not alert.severity:
                self._hurry(tracked)
        return True

    def _join(self, tracked: _Tracked) -> None:
        """Put an alert into its groups. A group's first message waits, unless an alert has waited long enough."""
        alert = tracked.alert
        for place in places(self._route, tracked.labels):
            wait_s = place.route.group_wait_s
            since = alert.fired_at if alert.fired_at is not None else alert.active_at
            overdue = since + wait_s < self._now
            due_at = max(self._not_before, self._now if overdue else self._now + wait_s)
            group = self._groups.at(place, place.route.group_labels(tracked.labels), due_at)
            if not group.flushed and overdue and group.due_at > due_at:
                self._groups.schedule(group, due_at)
            if alert.fingerprint not in group.members:
                group.members[alert.fingerprint] = False
                tracked.groups.add(group.key)
                words = f"grouped until {instant(group.due_at)}"
                self._decide(alert, Stage.GROUPING, words, held=True, until=group.due_at)

    def _hurry(self, tracked: _Tracked) -> None:
        """Another severity of the same alert does not wait for its group."""
        for group in filter(None, map(self._groups.get, tracked.groups)):
            self._groups.schedule(group, max(self._now, self._not_before))

    def _decide(
        self, alert: Alert, stage: Stage, reason: str, *, held: bool = False, until: float | None = None
    ) -> None:
        self._decisions.note(alert.fingerprint, stage, reason, self._now, held=held, until=until)

    # -- groups -----------------------------------------------------------------------------------------

    def _flush(self, group: Group, at: float) -> None:
        """Say of a group what is to be said, and let go of what is over."""
        members = [self._tracked[fingerprint].alert for fingerprint in group.members]
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
        tracked = self._tracked[alert.fingerprint]
        tracked.groups.discard(group.key)
        if not tracked.groups:
            del self._tracked[alert.fingerprint]

    def _labels_of(self, alert: Alert) -> Mapping[str, str]:
        return self._tracked[alert.fingerprint].labels

    # -- what people do ---------------------------------------------------------------------------------

    def add_silence(self, silence: Silence, now: float) -> str:
        """Hold back what `silence` matches; its id.

        Raises:
            SilenceError: it is over already, or there are too many.
        """
        self._pass(now, inclusive=True)
        return self._overlays.silences.add(silence, now)

    def expire_silence(self, silence_id: str, now: float) -> Silence:
        """End a silence.

        Raises:
            LookupError: there is none of this id.
        """
        self._pass(now, inclusive=True)
        return self._overlays.silences.expire(silence_id, now)

    def silences(self) -> list[Silence]:
        """Every silence, those included that expired in the last days."""
        return self._overlays.silences.all()

    def acknowledge(
        self, alert_id: str, author: str, now: float, *, comment: str = "", until: float | None = None
    ) -> Acknowledgement:
        """Somebody takes an alert on; channels that know of it are told so, and then only of its end. Idempotent.

        Raises:
            UnknownAlertError: there is no such alert.
            ConflictError: it is not firing.
        """
        self._pass(now, inclusive=True)
        tracked = self._firing(alert_id, "acknowledged")
        fingerprint = tracked.alert.fingerprint
        known = self._overlays.acknowledgements.of(fingerprint, now)
        if known is not None and (known.author, known.comment, known.until) == (author, comment, until):
            return known
        acknowledgement = Acknowledgement(now, author, comment, until)
        self._overlays.acknowledgements.add(fingerprint, acknowledgement)
        self._decide(tracked.alert, Stage.ACKNOWLEDGEMENT, acknowledgement.words(), held=True, until=until)
        alert = replace(tracked.alert, held=acknowledgement.words())
        for group in filter(None, map(self._groups.get, sorted(tracked.groups))):
            self._teller.acknowledge(group, alert, now)
        return acknowledgement

    def withdraw_acknowledgement(self, alert_id: str, now: float) -> bool:
        """Nobody is at work on an alert after all; whether anybody was.

        Raises:
            UnknownAlertError: there is no such alert.
        """
        self._pass(now, inclusive=True)
        return self._overlays.acknowledgements.remove(self._find(alert_id).fingerprint)

    def resolve(self, alert_id: str, author: str, now: float, *, ttl_s: float | None = None) -> AlertTransition | None:
        """Resolve an alert by hand, even while its condition holds. Idempotent: None when it is resolved already.

        It stays resolved until the condition was false once, or for `ttl_s`.

        Raises:
            UnknownAlertError: there is no such alert.
            ConflictError: it is pending.
        """
        self._pass(now, inclusive=True)
        alert = self._find(alert_id)
        if self._pins.has(alert.fingerprint) or alert.state is State.RESOLVED:
            return None
        alert = self._firing(alert_id, "resolved").alert
        reason = f"resolved by {author}, until the condition has been false once"
        resolved = replace(alert, state=State.RESOLVED, resolved_at=now, held="")
        until = None if ttl_s is None else now + ttl_s
        self._pins.add(Pin(alert, author, now, until))
        self._apply(resolved, reason)
        self._decide(alert, Stage.RESOLVED_BY_HAND, reason, held=True, until=until)
        return AlertTransition(now, resolved, State.FIRING, reason)

    def _release_pins(self, now: float) -> None:
        for pin in self._pins.ended(now):
            self._decisions.passed(pin.alert.fingerprint, Stage.RESOLVED_BY_HAND, now)
            self._now = max(self._now, pin.until or now)
            self._apply(pin.alert, "the condition still holds")

    # -- what there is ----------------------------------------------------------------------------------

    def decisions(self, alert_id: str) -> tuple[Decision, ...]:
        """What was decided on an alert, in the order of its way; nothing when it is unknown."""
        try:
            return self._decisions.of(self._find(alert_id).fingerprint)
        except UnknownAlertError:
            return self._decisions.of(alert_id)

    def held_by(self, alert_id: str, now: float) -> dict[Stage, Held]:
        """What lies over an alert at the moment: silence, acknowledgement and the like.

        Raises:
            UnknownAlertError: there is no such alert.
        """
        alert = self._find(alert_id)
        if alert.fingerprint not in self._tracked:
            return {}
        return self._overlays.over(alert, now)

    def alerts(self) -> list[Alert]:
        """Every alert that is pending, firing, or resolved without all channels having been told."""
        return [*self._pending.values(), *(tracked.alert for tracked in self._tracked.values())]

    @property
    def dropped(self) -> dict[str, int]:
        """How much was let go for want of room, by what it was."""
        return {
            "alerts": self._lost,
            "groups": self._groups.overflowed,
            "silences": self._overlays.silences.dropped,
            "decisions": self._decisions.dropped,
            "flapping": self._overlays.flapping.dropped,
            "told": self._teller.ledger.dropped,
        }

    def _find(self, alert_id: str) -> Alert:
        tracked = self._tracked.get(alert_id)
        if tracked is not None:
            return tracked.alert
        for alert in (*(item.alert for item in self._tracked.values()), *self._pins.alerts(), *self._pending.values()):
            if alert_id in (alert.id, alert.fingerprint):
                return alert
        raise UnknownAlertError(f"no alert {alert_id!r}")

    def _firing(self, alert_id: str, done: str) -> _Tracked:
        alert = self._find(alert_id)
        tracked = self._tracked.get(alert.fingerprint)
        if tracked is None or tracked.alert.state is not State.FIRING:
            raise ConflictError(f"alert {alert_id!r} is {alert.state}, not firing: it cannot be {done}")
        return tracked

    # -- state ------------------------------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        """The whole state as JSON-compatible data: a dispatcher of the same settings continues identically."""
        return {
            "version": DUMP_VERSION,
            "now": self._now if math.isfinite(self._now) else None,
            "alerts": [tracked.alert.dump() for tracked in self._tracked.values()],
            "pending": [alert.dump() for alert in self._pending.values()],
            "groups": self._groups.dump(),
            "pins": self._pins.dump(),
            "decisions": self._decisions.dump(),
            "overlays": self._overlays.dump(),
            "teller": self._teller.dump(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up a state that `dump` has given; alerts of routes that are no more go where they belong now.

        Raises:
            ValueError: it is not a dump, or one of another version.
        """
        if state.get("version") != DUMP_VERSION:
            raise ValueError(f"not a dispatcher's state of version {DUMP_VERSION}; start with an empty one")
        self._now = -math.inf if state["now"] is None else state["now"]
        alerts = [Alert.load(item) for item in state["alerts"]]
        self._tracked = {alert.fingerprint: _Tracked(alert, label_view(alert)) for alert in alerts}
        self._pending = {alert.fingerprint: alert for alert in map(Alert.load, state["pending"])}
        self._groups.load(state["groups"], {place.path: place for place in all_places(self._route)})
        self._pins.load(state["pins"])
        self._decisions.load(state["decisions"])
        self._overlays.load(state["overlays"])
        self._teller.load(state["teller"])
        self._settle()

    def _settle(self) -> None:
        """Tie alerts and groups together again."""
        for group in self._groups:
            for fingerprint in list(group.members):
                tracked = self._tracked.get(fingerprint)
                if tracked is None:
                    del group.members[fingerprint]
                else:
                    tracked.groups.add(group.key)
        for fingerprint, tracked in list(self._tracked.items()):
            self._overlays.known(tracked.alert)
            if tracked.alert.state is State.FIRING:
                self._join(tracked)
            elif not tracked.groups:
                del self._tracked[fingerprint]
