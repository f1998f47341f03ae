"""One exporter's exports: what becomes of a failure, at any time of the process's life."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from otel_monitor import export_cause, exporter_internals
from otel_monitor.export_cause import Cause
from otel_monitor.export_notice import ExportNotice, Signal
from otel_monitor.provider_internals import Queue
from otel_monitor_processors import drops
from otel_monitor_processors.guard import guard

R = TypeVar("R")

_LEAST_TRY_S = 0.05
_SDK_LOGGERS = (
    "opentelemetry.exporter.otlp.common.http",
    "opentelemetry.sdk._shared_internal",
    "opentelemetry.sdk._logs._internal.export",
    "opentelemetry.sdk.metrics._internal",
    "opentelemetry.sdk.metrics._internal.export",
    "opentelemetry.sdk.trace.export",
    "urllib3.connectionpool",
)
_QUEUE_FULL = "Queue full, dropping"


class Delivery:
    """Exports through `exporter`, and reports on failures and losses in place of the SDK's own log lines."""

    def __init__(self, signal: Signal, exporter: object, notice: ExportNotice) -> None:
        self.exporter = exporter
        self._signal = signal
        self._notice = notice
        self._endpoint = exporter_internals.endpoint_of(exporter)
        self.queue: Queue | None = None
        self._pid = os.getpid()
        self._closes_at: float | None = None
        self._under_way = 0
        self._shut = False
        self._attempt: _Attempt | None = None
        exporter_internals.import_early()
        exporter_internals.watch_answers(exporter, _failed_request)

    def run(self, export: Callable[[], R], items: int, failure: R) -> R:
        """What `export` returns, or `failure` where it raises or is not tried any more."""
        if self._shut or (self._closes_at is not None and not self._prepare_for_close(self._closes_at)):
            self._count(items, "shutdown")
            return failure
        self._renew_in_child()
        attempt = self._attempt = _Attempt(self)
        self._under_way = items
        result = attempt.run(export, failure)
        self._under_way = 0
        self._settle(attempt, items, failed=result is failure)
        return result

    def closing(self, deadline: float) -> None:
        """The process ends at `deadline` (of the monotonic clock): no export begins after it or outlasts it."""
        self._closes_at = deadline

    def shut(self) -> None:
        """The exporter is shut down: it would refuse everything from now on."""
        self._shut = True

    @guard("delivery.abandon")
    def abandon(self) -> None:
        """Count what is still on its way at the end of the process."""
        left = self._under_way + (self.queue.waiting if self.queue is not None else 0)
        if left:
            self._count(left, "shutdown")
            cause = self._attempt.cause if self._attempt is not None else None
            self._notice.abandoned(self._signal, self._endpoint, cause or export_cause.TOO_LATE, left)

    def forked(self) -> None:
        """In a forked child: nothing is under way, and exports go on where the parent's were at their end."""
        self._under_way = 0
        self._attempt = None
        self._closes_at = None

    def unreachable(self) -> None:
        """Nobody listens at the other end; a process that ends does not try again."""
        if self._closes_at is not None:
            exporter_internals.end_retries(self.exporter)

    @guard("delivery.overflow")
    def overflowed(self, items: int, reason: str) -> None:
        """The queue before the exporter has lost `items`."""
        if reason == "queue_full":
            self._count(items, reason)
            self._notice.overflowed(self._signal, items)
        else:
            self._count(items, "shutdown")

    @guard("delivery.settle")
    def _settle(self, attempt: _Attempt, items: int, *, failed: bool) -> None:
        if not failed:
            self._notice.delivered(self._signal)
            return
        self._count(items, "export_failed")
        self._notice.failed(self._signal, self._endpoint, attempt.cause or export_cause.UNKNOWN, items)

    @guard("delivery.count")
    def _count(self, items: int, reason: str) -> None:
        drops.count(f"export.{self._signal}", reason, items)

    @guard("delivery.prepare", default=True)
    def _prepare_for_close(self, deadline: float) -> bool:
        left = deadline - time.monotonic()
        exporter_internals.limit_time(self.exporter, max(left, _LEAST_TRY_S))
        return left > 0

    @guard("delivery.renew")
    def _renew_in_child(self) -> None:
        if self._pid != os.getpid():
            self._pid = os.getpid()
            exporter_internals.renew(self.exporter)


class _Attempt:
    """One export under way in this thread, and why it failed, as far as its exporter's log lines tell."""

    __slots__ = ("_delivery", "cause")

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self.cause: Cause | None = None

    def run(self, export: Callable[[], R], failure: R) -> R:
        _current.attempt = self
        try:
            return export()
        except Exception as error:  # noqa: BLE001 - an exporter may raise anything, and the SDK would log a traceback
            self.cause = export_cause.of_error(error)
            return failure
        finally:
            _current.attempt = None

    @guard("delivery.note")
    def note(self, record: logging.LogRecord) -> None:
        self.cause = self.cause or export_cause.of_record(record)
        if export_cause.means_unreachable(record):
            self._delivery.unreachable()


class _Current(threading.local):
    attempt: _Attempt | None = None


_current = _Current()


def _failed_request(cause: Cause) -> None:
    attempt = _current.attempt
    if attempt is not None:
        attempt.cause = cause


class HeldBack(logging.Filter):
    """Keeps back the log lines of the SDK and its exporters about failures that a notice reports on; no others."""

    def __init__(self) -> None:
        super().__init__()
        self.closing = False
        self.overflowing: Callable[[], bool] = bool

    def watch(self, exporter: object) -> None:
        """Hold back the lines of the modules that `exporter` is made of."""
        modules = {cls.__module__ for cls in type(exporter).__mro__} - {"builtins", "abc", "typing"}
        for name in sorted(modules.union(_SDK_LOGGERS)):
            logger = logging.getLogger(name)
            if self not in logger.filters:
                logger.filters.insert(0, self)  # before the SDK's filter of duplicates, which would hide causes

    @guard("delivery.filter", default=True)
    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        attempt = _current.attempt
        if attempt is not None:
            attempt.note(record)
            return False
        if str(record.msg).startswith(_QUEUE_FULL):
            return not self.overflowing()
        return not self.closing or not record.name.startswith("opentelemetry.")
