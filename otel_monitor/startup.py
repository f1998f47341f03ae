"""Starts otel-monitor in a process, and stops it: detection, processors, recording, and an end within a bound."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics, trace
from opentelemetry.sdk.resources import Resource

from otel_monitor import activation, fork, provider_internals
from otel_monitor.activation import read_settings
from otel_monitor.attachment import Attachment, Shortcomings
from otel_monitor.detection import build_engine, reads_foreign_metrics
from otel_monitor.exporters import Exports
from otel_monitor.instrumentation import recorder
from otel_monitor.instrumentation.registry import check_unresolved
from otel_monitor.settings import Settings
from otel_monitor.settings_channels import has_console
from otel_monitor.shutdown import Shutdown
from otel_monitor.telemetry import Telemetry
from otel_monitor.user_line import say
from otel_monitor_processors.guard import guard
from otel_monitor_processors.otel.driver import Driver, set_current_driver
from otel_monitor_processors.otel.mapping import source_of

if TYPE_CHECKING:
    from otel_monitor.alerting.process import ProcessAlerts

_NAMES_AFTER_S = 1.0
_ALERTS_SHARE = 0.9
"""Delivery goes on while the providers end, almost to the end of the time that the end of a process may take."""

_HANDLERS = "otel_monitor.alerting.handlers"
_lock = threading.RLock()  # guards _monitoring
_monitoring: Monitoring | None = None


class Monitoring:
    """Everything of otel-monitor in this process. Made once; started and stopped as often as need be."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.driver = Driver(build_engine(settings))
        self.exports = Exports()
        self.attachment = Attachment(
            self.driver,
            self.exports,
            console=settings.enable_console_notifications and not has_console(settings.channels),
            foreign_metrics=reads_foreign_metrics(settings),
        )
        self.shutdown = Shutdown(self._end_detection, self.exports, settings.shutdown_timeout)
        self._alerts: ProcessAlerts | None = None
        self._running = False
        self._owns_pipeline = False
        self._known = Shortcomings()
        self._program_is_new = True

    def owns_pipeline(self) -> None:
        """The SDK was set up by us: its exporters are ours to wrap."""
        self._owns_pipeline = True
        self.attachment.adopt_exporters()

    def start(self, settings: Settings, file: str = "") -> None:
        """Attach to whatever providers there are by now, and record and detect from now on."""
        if settings != self.settings:
            self.settings = settings
            self.driver.engine = build_engine(settings)
        self._attach(file)
        self.shutdown.timeout_s = settings.shutdown_timeout
        self.shutdown.providers = self.attachment.providers()
        if self._running:
            return
        self._running = True
        set_current_driver(self.driver)
        self.attachment.gate.open = True
        self._record()
        self._start_alerts()
        self.shutdown.register()  # after the providers exist: what is registered last runs first
        fork.protect(self._in_child, self.shutdown.run)
        self.driver.every(_NAMES_AFTER_S, self._check_names)
        self.driver.start()

    def stop(self) -> None:
        """Record and detect nothing more, after a last evaluation. The providers live on."""
        if not self._running:
            return
        self._running = False
        recorder.uninstall()
        self.driver.stop()
        self._stop_alerts(self.settings.shutdown_timeout)
        self.attachment.detach()
        set_current_driver(None)
        if not self._owns_pipeline:
            self.shutdown.unregister()
            fork.unprotect()

    @guard("startup.attach")
    def _attach(self, file: str) -> None:
        found = self.attachment.attach()
        text = found.without(self._known).told(file)
        self._known = self._known.together_with(found)
        if text:
            say(f"{text}. Your code keeps running.")

    @guard("startup.record")
    def _record(self) -> None:
        tracers, meters = trace.get_tracer_provider(), metrics.get_meter_provider()
        source, service = _names()
        recorder.install(Telemetry(tracers, meters, self.driver, self.settings, source, service))

    @guard("startup.alerts")
    def _start_alerts(self) -> None:
        """Keep and deliver alerts, where the settings ask for more than what is said of each at once."""
        if _HANDLERS in sys.modules:
            sys.modules[_HANDLERS].attach(self.driver)
        if not _keeps_alerts(self.settings):
            return
        from otel_monitor.alerting.process import ProcessAlerts

        self._alerts = ProcessAlerts(self.driver, self.settings, _names()[1] or "otel-monitor")
        self._alerts.start()

    def _stop_alerts(self, timeout_s: float) -> None:
        alerts, self._alerts = self._alerts, None
        if alerts is not None:
            alerts.stop(timeout_s)

    def _check_names(self) -> None:
        """Say which named classes cannot be found, once the program has had time to set out."""
        if self._program_is_new:
            self._program_is_new = False
            return
        check_unresolved()

    def _end_detection(self, timeout_s: float) -> None:
        until = time.monotonic() + _ALERTS_SHARE * self.shutdown.timeout_s
        check_unresolved(final=True)
        if self._running:
            self.attachment.read_metrics()
            self.driver.stop(timeout_s)
            self.attachment.gate.open = False
            self._stop_alerts(max(0.0, until - time.monotonic()))

    def _in_child(self) -> None:
        self.exports.forked()
        if self._alerts is not None:
            self._alerts.forked()
        for provider in self.shutdown.providers:
            provider_internals.renew_metrics(provider)
            provider_internals.renew_processors(provider)


def _names() -> tuple[str, str]:
    """The source and the service that this process is."""
    resource = getattr(trace.get_tracer_provider(), "resource", None)
    return source_of(resource.attributes if isinstance(resource, Resource) else Resource.create().attributes)


def _keeps_alerts(settings: Settings) -> bool:
    """Whether there is anything to do beyond the console line, the log events and the metrics of each alert."""
    return bool(
        settings.store_path
        or settings.channels
        or settings.enable_file_notifications
        or settings.enable_email_notifications
    )


@guard("startup.pipeline")
def pipeline(given: dict[str, Any]) -> dict[str, Any]:
    """Arguments for the SDK's configurator that put our processors and exporters in their places."""
    with _lock:
        return _make(read_settings()).attachment.pipeline(given)


@guard("startup.configured")
def configured(file: str = "") -> None:
    """The SDK has been set up by our configurator, from `file` or from the environment."""
    with _lock:
        settings = read_settings()
        monitoring = _make(settings)
        monitoring.owns_pipeline()
        monitoring.start(settings, file)


@guard("startup.start")
def start(settings: Settings | None = None) -> None:
    """Start otel-monitor, unless it runs or is switched off. Attaches to the providers that are set by now."""
    if not activation.wanted(os.environ):
        return
    with _lock:
        settings = read_settings() if settings is None else settings
        if settings.enabled:
            _make(settings).start(settings)


@guard("startup.stop")
def stop() -> None:
    """Stop otel-monitor, if it runs."""
    with _lock:
        if _monitoring is not None:
            _monitoring.stop()


def _make(settings: Settings) -> Monitoring:
    global _monitoring
    if _monitoring is None:
        _monitoring = Monitoring(settings)
    return _monitoring


def _renew_lock() -> None:
    global _lock
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_renew_lock)
