"""Overlays: what may lie over an alert and hold it back, whatever its state is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from otel_monitor_processors.alerts.acknowledgement import Acknowledgements
from otel_monitor_processors.alerts.alert import Alert, State
from otel_monitor_processors.alerts.decision import Stage
from otel_monitor_processors.alerts.flapping import OK, Flapping, FlapPolicy
from otel_monitor_processors.alerts.held import Held
from otel_monitor_processors.alerts.inhibition import Inhibition, Inhibitor
from otel_monitor_processors.alerts.maintenance import MaintenanceWindow
from otel_monitor_processors.alerts.matcher import all_match
from otel_monitor_processors.alerts.silence import Silences

Check = Callable[[Alert, float], Held | None]


class Overlays:
    """Maintenance windows, inhibitions, silences and acknowledgements, and how much each alert flaps.

    `holds` are those that hold an alert back at a moment, each with its name, in the order in which they are asked;
    `labels_of` gives what matchers see of an alert.
    """

    def __init__(
        self,
        maintenance: Iterable[MaintenanceWindow],
        inhibitions: Iterable[Inhibition],
        flapping: FlapPolicy,
        labels_of: Callable[[Alert], Mapping[str, str]],
    ) -> None:
        self.silences = Silences()
        self.acknowledgements = Acknowledgements()
        self.flapping = Flapping(flapping)
        self._labels_of = labels_of
        self._maintenance = tuple(maintenance)
        self._inhibitor = Inhibitor(inhibitions)
        self.holds: tuple[tuple[Stage, Check], ...] = (
            (Stage.MAINTENANCE, self._maintained),
            (Stage.INHIBITION, lambda alert, _now: self._inhibitor.holding(alert, labels_of(alert))),
            (Stage.SILENCE, lambda alert, now: self.silences.holding(labels_of(alert), now)),
            (Stage.ACKNOWLEDGEMENT, lambda alert, now: self.acknowledgements.holding(alert.fingerprint, now)),
        )

    def _maintained(self, alert: Alert, now: float) -> Held | None:
        for window in self._maintenance:
            if all_match(window.matchers, self._labels_of(alert)) and (held := window.holding(now)) is not None:
                return held
        return None

    def note(self, alert: Alert, now: float) -> None:
        """An alert has changed. An acknowledgement ends with its recovery."""
        firing = alert.state is State.FIRING
        self.known(alert)
        self.flapping.note(alert.fingerprint, alert.severity.number if firing else OK, now)
        if not firing:
            self.acknowledgements.remove(alert.fingerprint)

    def known(self, alert: Alert) -> None:
        """There is an alert, as it is, after a restart."""
        self._inhibitor.note(alert, self._labels_of(alert))

    def over(self, alert: Alert, now: float) -> dict[Stage, Held]:
        """Everything that lies over an alert at the moment."""
        found = {stage: check(alert, now) for stage, check in self.holds}
        flap = self.flapping.of(alert.fingerprint, now)
        found[Stage.FLAPPING] = Held(flap.words(), flap.until) if flap is not None else None
        return {stage: held for stage, held in found.items() if held is not None}

    def forget(self, now: float, alive: Iterable[str]) -> None:
        """Let go of what is long over."""
        self.silences.forget(now)
        self.flapping.forget(now, alive)

    def dump(self) -> dict[str, Any]:
        return {
            "silences": self.silences.dump(),
            "acknowledgements": self.acknowledgements.dump(),
            "flapping": self.flapping.dump(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        self.silences.load(state["silences"])
        self.acknowledgements.load(state["acknowledgements"])
        self.flapping.load(state["flapping"])
