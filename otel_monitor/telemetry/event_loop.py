"""How late asyncio event loops run what is due: probed from outside, once a second."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Callable
from threading import RLock
from time import perf_counter
from weakref import WeakKeyDictionary, ref

from otel_monitor_processors import drops
from otel_monitor_processors.guard import guard

MAX_LOOPS = 64


class _Probe:
    """A callback that is on its way through a loop."""

    __slots__ = ("returned", "sent")

    def __init__(self) -> None:
        self.sent = perf_counter()
        self.returned: float | None = None

    @guard("event_loop.probe")
    def __call__(self) -> None:
        self.returned = perf_counter()

    def delay_s(self) -> float:
        """Its way so far: one that has not come back yet tells of the loop that it is blocked."""
        return (perf_counter() if self.returned is None else self.returned) - self.sent


class EventLoops:
    """The loops in which wrapped calls were seen."""

    def __init__(self) -> None:
        self._lock = RLock()  # guards _probes
        self._probes: WeakKeyDictionary[AbstractEventLoop, _Probe | None] = WeakKeyDictionary()
        self._latest: Callable[[], AbstractEventLoop | None] = _no_loop

    def see(self, loop: AbstractEventLoop) -> None:
        """A wrapped call runs in `loop`."""
        if self._latest() is loop:
            return
        self._latest = ref(loop)
        with self._lock:
            if loop in self._probes:
                return
            if len(self._probes) >= MAX_LOOPS:
                drops.count("event_loops", "loop_limit")
                return
            self._probes[loop] = None

    def delays_s(self) -> list[float]:
        """The delay of every running loop: of the probe sent the last time. Sends the next ones."""
        with self._lock:
            probes = list(self._probes.items())
        delays = []
        for loop, probe in probes:
            if loop.is_closed():
                self._forget(loop)
            elif not loop.is_running():
                self._set(loop, None)
            else:
                if probe is not None:
                    delays.append(probe.delay_s())
                if probe is None or probe.returned is not None:
                    self._set(loop, _sent(loop))
        return delays

    def reset_after_fork(self) -> None:
        """In a child: the loops run in the parent."""
        self._lock = RLock()
        self._probes = WeakKeyDictionary()
        self._latest = _no_loop

    def _set(self, loop: AbstractEventLoop, probe: _Probe | None) -> None:
        with self._lock:
            self._probes[loop] = probe

    def _forget(self, loop: AbstractEventLoop) -> None:
        with self._lock:
            self._probes.pop(loop, None)


def _sent(loop: AbstractEventLoop) -> _Probe | None:
    probe = _Probe()
    try:
        loop.call_soon_threadsafe(probe)
    except RuntimeError:  # closed between two lines
        return None
    return probe


def _no_loop() -> None:
    return None
