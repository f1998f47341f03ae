"""The dispatcher: alerts' transitions go in, notifications for channels come out.

A pure state machine on virtual time: it knows no channel but by name, no clock, thread or file. What it gives out
counts as told, for whoever takes it promises to deliver. However often it is asked in between, the same input
gives the same notifications.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from otel_monitor_processors.alerts.acknowledgement import Acknowledgement
from otel_monitor_processors.alerts.alert import Alert, AlertTransition, State
from otel_monitor_processors.alerts.decision import Decision, Decisions, Stage
from otel_monitor_processors.alerts.flapping import FlapPolicy
from otel_monitor_processors.alerts.held import Held, instant
from otel_monitor_processors.alerts.inhibition import DEFAULT_INHIBITIONS, Inhibition
from otel_monitor_processors.alerts.maintenance import MaintenanceWindow
from otel_monitor_processors.alerts.notification import Notification
from otel_monitor_processors.alerts.overlays import Overlays
from otel_monitor_processors.alerts.pin import Pin, Pins
from otel_monitor_processors.alerts.rate_limit import RateLimit
from otel_monitor_processors.alerts.roster import Roster, UnknownAlertError
from otel_monitor_processors.alerts.rounds import Rounds
from otel_monitor_processors.alerts.route import DEFAULT_ROUTE, Route
from otel_monitor_processors.alerts.silence import Silence
from otel_monitor_processors.alerts.teller import Teller

DUMP_VERSION = 1
_TIDY_EVERY_S = 3600.0


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
        self._now = -math.inf
        self._tidy_at = -math.inf
        self._roster = Roster()
        self._pins = Pins()
        self._decisions = Decisions()
        self._overlays = Overlays(maintenance, inhibitions, flapping or FlapPolicy(), self._labels_of)
        self._teller = Teller(channels, rate_limits or {}, self._overlays, self._decisions)
        self._rounds = Rounds(route, self._roster, self._teller, self._decisions, not_before)

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
        self._roster.no_longer_waits(alert.fingerprint)
        if alert.state is State.INACTIVE:
            self._decide(alert, Stage.CONDITION, f"inactive: {transition.reason}")
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
        times = [at for at in (self._rounds.next_due(), self._pins.next_end()) if at is not None]
        return min(times, default=None)

    def _pass(self, now: float, *, inclusive: bool) -> None:
        """Do what was due up to `now`, in its order and as of its time; with `inclusive` what is due at `now` as well.

        What arrives at one moment is taken in before what is due at it: a cause arrives with its symptoms.
        """
        until = now if inclusive else math.nextafter(now, -math.inf)
        self._release_pins(until)
        self._rounds.go(until, now)
        self._now = max(self._now, now)
        if now >= self._tidy_at:
            self._tidy(now)

    def _tidy(self, now: float) -> None:
        self._tidy_at = now + _TIDY_EVERY_S
        self._overlays.forget(now, self._roster)
        self._teller.ledger.forget(now)

    # -- alerts -----------------------------------------------------------------------------------------

    def _wait(self, alert: Alert, transition: AlertTransition) -> None:
        if not self._roster.wait(alert):
            return
        if transition.previous is State.INACTIVE and self._roster.get(alert.fingerprint) is None:
            self._decisions.begin(alert.fingerprint)
        reason = f"pending: {alert.held or transition.reason}"
        self._decide(alert, Stage.CONDITION, reason, held=True, until=alert.due_at)

    def _apply(self, alert: Alert, reason: str) -> bool:
        known = self._roster.get(alert.fingerprint)
        before = known.alert if known is not None else None
        tracked = self._roster.track(alert)
        if tracked is None:
            return alert.state is State.RESOLVED
        alert = tracked.alert
        if alert.state is State.FIRING and (before is None or before.state is State.RESOLVED):
            self._decisions.begin(alert.fingerprint)
        self._overlays.note(alert, self._now)
        self._decide(alert, Stage.CONDITION, f"{alert.state}: {reason}")
        if alert.state is State.FIRING:
            self._rounds.join(tracked, self._now)
            if before is not None and before.state is State.FIRING and before.severity is not alert.severity:
                self._rounds.hurry(tracked, self._now)
        return True

    def _decide(
        self, alert: Alert, stage: Stage, reason: str, *, held: bool = False, until: float | None = None
    ) -> None:
        self._decisions.note(alert.fingerprint, stage, reason, self._now, held=held, until=until)

    def _labels_of(self, alert: Alert) -> Mapping[str, str]:
        return self._roster[alert.fingerprint].labels

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
        tracked = self._roster.firing(self._find(alert_id), "acknowledged")
        fingerprint = tracked.alert.fingerprint
        known = self._overlays.acknowledgements.of(fingerprint, now)
        if known is not None and (known.author, known.comment, known.until) == (author, comment, until):
            return known
        acknowledgement = Acknowledgement(now, author, comment, until)
        self._overlays.acknowledgements.add(fingerprint, acknowledgement)
        self._decide(tracked.alert, Stage.ACKNOWLEDGEMENT, acknowledgement.words(), held=True, until=until)
        alert = replace(tracked.alert, held=acknowledgement.words())
        for group in self._rounds.groups_of(tracked):
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
        alert = self._roster.firing(alert, "resolved").alert
        resolved = replace(alert, state=State.RESOLVED, resolved_at=now, held="")
        until = None if ttl_s is None else now + ttl_s
        most = f", at most until {instant(until)}" if until is not None else ""
        reason = f"resolved by {author} until the condition has been false once{most}"
        self._pins.add(Pin(alert, author, now, until))
        self._apply(resolved, reason)
        self._decide(alert, Stage.RESOLVED_BY_HAND, reason, held=True, until=until)
        return AlertTransition(now, resolved, State.FIRING, reason)

    def _release_pins(self, now: float) -> None:
        for pin in self._pins.ended(now):
            self._now = max(self._now, pin.until or now)
            self._apply(pin.alert, "the condition still holds, and it was resolved by hand only for a time")

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
        if self._roster.get(alert.fingerprint) is None:
            return {}
        return self._overlays.over(alert, now)

    def alerts(self) -> list[Alert]:
        """Every alert that is pending, firing, or resolved without all channels having been told."""
        return self._roster.all()

    def reached(self, group_key: str, channel: str, at: float) -> None:
        """A message has reached its channel late, after failures: the repeat interval counts from `at`, not before."""
        self._teller.ledger.reached(group_key, channel, at)

    def believed(self, channel: str) -> dict[str, str]:
        """The alerts that a channel must take to be firing, by fingerprint, with the severity that it was told."""
        return self._teller.ledger.believed(channel)

    @property
    def dropped(self) -> dict[str, int]:
        """How much was let go for want of room, by what it was."""
        return {
            "alerts": self._roster.lost,
            "groups": self._rounds.overflowed,
            "silences": self._overlays.silences.dropped,
            "decisions": self._decisions.dropped,
            "flapping": self._overlays.flapping.dropped,
            "told": self._teller.ledger.dropped,
        }

    def _find(self, alert_id: str) -> Alert:
        return self._roster.find(alert_id, self._pins.alerts())

    # -- state ------------------------------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        """The whole state as JSON-compatible data: a dispatcher of the same settings continues identically."""
        return {
            "version": DUMP_VERSION,
            "now": self._now if math.isfinite(self._now) else None,
            **self._roster.dump(),
            "groups": self._rounds.dump(),
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
        self._roster.load(state)
        self._pins.load(state["pins"])
        self._decisions.load(state["decisions"])
        self._overlays.load(state["overlays"])
        self._teller.load(state["teller"])
        self._rounds.load(state["groups"], self._now)
        for tracked in self._roster.tracked():
            self._overlays.known(tracked.alert)
