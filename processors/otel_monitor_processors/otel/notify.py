"""Connects a driver with what its transitions become, once."""

from __future__ import annotations

import threading
import weakref

from opentelemetry._logs import LoggerProvider
from opentelemetry.metrics import MeterProvider

from otel_monitor_processors.otel.console import ConsoleNotifier
from otel_monitor_processors.otel.driver import Driver
from otel_monitor_processors.otel.emitter import AlertEmitter

_lock = threading.RLock()  # guards _emitting and _printing
_emitting: weakref.WeakSet[Driver] = weakref.WeakSet()
_printing: weakref.WeakSet[Driver] = weakref.WeakSet()


def notify(
    driver: Driver,
    *,
    console: bool,
    logger_provider: LoggerProvider | None = None,
    meter_provider: MeterProvider | None = None,
) -> None:
    """Emit the driver's transitions as log events and metrics, and on the console, each once per driver.

    The global providers are used where none is given.
    """
    with _lock:
        emit, printing = driver not in _emitting, console and driver not in _printing
        if emit:
            _emitting.add(driver)
        if printing:
            _printing.add(driver)
    if printing:
        driver.subscribe(ConsoleNotifier())
    if emit:
        driver.subscribe(AlertEmitter(logger_provider, meter_provider))
