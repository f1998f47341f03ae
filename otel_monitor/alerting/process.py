"""The alert service in an instrumented process: on its driver, in its metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from opentelemetry import metrics

from otel_monitor.alerting.assembly import problems_of, service_of
from otel_monitor.settings import Settings
from otel_monitor.telemetry.instruments import NOTIFICATIONS, OUTBOX_DEPTH
from otel_monitor.telemetry.observables import Observables, Reading
from otel_monitor.user_line import say
from otel_monitor_processors.alerts.alert import Alert
from otel_monitor_processors.otel.driver import Driver


class ProcessAlerts:
    """Keeps and delivers what one driver's engine raises. `name` names this engine in the store."""

    def __init__(self, driver: Driver, settings: Settings, name: str) -> None:
        self._driver = driver
        self._outcomes: Counter[tuple[str, str]] = Counter()
        self._is_child = False
        self._service = service_of(settings, name, self._report, driver.tell)
        for problem in problems_of(settings):
            say(f"{problem}. Your code keeps running.")

    def start(self) -> None:
        """Take up what the last process has left, then keep and deliver what the driver's engine raises."""
        observables = Observables.of(metrics.get_meter_provider())
        observables.read(NOTIFICATIONS, self._notifications)
        observables.read(OUTBOX_DEPTH, self._depths)
        self._driver.subscribe(self._service)
        self._driver.restore_from(self._restore)

    def stop(self, timeout_s: float) -> None:
        """Deliver what is due, within about `timeout_s` seconds."""
        self._driver.unsubscribe(self._service)
        self._driver.restore_from(None)
        self._service.stop(timeout_s)

    def forked(self) -> None:
        """In a forked child, which has sent nothing yet."""
        self._outcomes.clear()
        self._is_child = True

    def _restore(self) -> tuple[Sequence[Alert], float | None]:
        found = self._service.restore()  # before it says that this process lives: when was the last one heard of?
        if found.alerts or not self._is_child:
            self._service.start()
        else:
            self._service.start_when_needed()
        return found

    def _report(self, channel: str, outcome: str) -> None:
        self._outcomes[channel, outcome] += 1

    def _notifications(self) -> Iterable[Reading]:
        return list(self._outcomes.items())

    def _depths(self) -> Iterable[Reading]:
        return [((channel,), depth) for channel, depth in self._service.depths.items()]
