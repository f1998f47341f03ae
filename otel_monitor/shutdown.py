"""The end of a process: the last alerts and the last telemetry leave, within a bound.

Left to itself the SDK shuts logs, metrics and traces down one after the other, with up to 30 seconds each when
nobody answers, and logs first, so that an alert of the last moment is lost.

A signal that kills the process without a handler (SIGTERM, unless the program handles it), `os._exit` and a
crash leave no time for any of this: what has not been exported by then is lost.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from otel_monitor import provider_internals
from otel_monitor.exporters import Exports
from otel_monitor_processors.guard import guard

_DETECTION_SHARE = 0.4


class Shutdown:
    """Ends detection and the providers at exit, in place of the SDK's own handlers."""

    def __init__(self, detection: Callable[[float], None], exports: Exports, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.providers: Sequence[Any] = ()
        self._detection = detection
        self._exports = exports
        self._done_in: int | None = None

    def register(self) -> None:
        """Run at exit, before every handler that is registered already, the SDK's among them."""
        atexit.unregister(self.run)
        atexit.register(self.run)

    def unregister(self) -> None:
        """Leave the end to the SDK."""
        atexit.unregister(self.run)

    @guard("shutdown.run")
    def run(self) -> None:
        """End everything within `timeout_s`. Once per process."""
        if self._done_in == os.getpid():
            return
        self._done_in = os.getpid()
        deadline = time.monotonic() + self.timeout_s
        providers = [provider for provider in self.providers if provider_internals.ends_at_exit(provider)]
        for provider in providers:
            atexit.unregister(provider.shutdown)
        self._exports.closing(deadline)
        try:
            detection = _start(self._detect)
            _wait([detection], time.monotonic() + self.timeout_s * _DETECTION_SHARE)
            _wait([_start(partial(_end, provider)) for provider in providers], deadline)
            _wait([detection], deadline)  # notifications of alerts may still be on their way
        except KeyboardInterrupt:  # the user does not want to wait
            self._exports.closing(time.monotonic())
        self._exports.close()

    @guard("shutdown.detection")
    def _detect(self) -> None:
        self._detection(self.timeout_s * _DETECTION_SHARE)


@guard("shutdown.provider")
def _end(provider: Any) -> None:
    provider.shutdown()


def _start(function: Callable[[], None]) -> threading.Thread:
    """Run `function` beside this thread, so that nothing it waits for holds the process."""
    thread = threading.Thread(target=function, name="otel-monitor-exit", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # Python 3.12.0 to 3.12.2 start no thread any more by now; the exports have their own bound
        function()
    return thread


def _wait(threads: Sequence[threading.Thread], deadline: float) -> None:
    for thread in threads:
        if thread.ident is not None:
            thread.join(max(0.0, deadline - time.monotonic()))
