"""The demo's course: start, baseline, fault, recovery, end."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from google.protobuf.message import Message

from otel_monitor.demo.environment import instrumented
from otel_monitor.demo.fault_names import FaultName
from otel_monitor.demo.faults import FAULTS, Fault
from otel_monitor.demo.fleet import Fleet
from otel_monitor.demo.fleet_state import FleetState, look
from otel_monitor.demo.forwarding import Forwarder
from otel_monitor.demo.receiver import Receiver, Signal
from otel_monitor.demo.system_view import SystemView
from otel_monitor.demo.telemetry import AlertEvent, Telemetry, VerdictEvent
from otel_monitor_processors.patterns.verdict import Pattern

TICK_S = 0.25
BASELINE_SHARE = 0.28
FAULT_SHARE = 0.47


class Phase(StrEnum):
    """Where the run is."""

    START = "start"
    BASELINE = "baseline"
    FAULT = "fault"
    RECOVERY = "recovery"
    STOP = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user asked for; `seconds` is the time after the set-up."""

    fault: FaultName
    seconds: float
    keep: bool = False


@dataclass(slots=True)
class Progress:
    """What a view shows: everything known at this moment."""

    fault: FaultName
    title: str
    seconds: float
    phase: Phase = Phase.START
    note: str = ""
    began_at: float = field(default_factory=time.monotonic)
    ready_at: float | None = None
    injected_at: float | None = None
    healed_at: float | None = None
    state: FleetState = field(default_factory=FleetState)
    received: dict[Signal, int] = field(default_factory=dict)
    alerts: list[AlertEvent] = field(default_factory=list)


class View(Protocol):
    """Shows the progress to somebody."""

    def update(self, progress: Progress) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it."""

    fault: FaultName
    title: str
    injected_at: float | None
    healed_at: float | None
    alerts: tuple[AlertEvent, ...]
    spans: dict[str, int]
    received: dict[Signal, int]
    kept: Path | None
    forwarding: str = ""
    expected: Pattern | None = None
    verdicts: tuple[VerdictEvent, ...] = ()
    complaints: tuple[str, ...] = ()

    @property
    def first_alert(self) -> AlertEvent | None:
        """The first alert that fired after the fault was there."""
        since = self.injected_at if self.injected_at is not None else 0.0
        return next((alert for alert in self.alerts if alert.state == "firing" and alert.at >= since), None)

    @property
    def as_expected(self) -> bool:
        """A fault has raised an alert, or nothing was broken and none came."""
        if self.fault is FaultName.NONE:
            return not any(alert.state == "firing" for alert in self.alerts)
        return self.first_alert is not None


class Scenario:
    """One run of the demo."""

    def __init__(self, options: Options, view: View) -> None:
        fault_type = FAULTS[options.fault]
        self._options = options
        self._view = view
        self._fault: Fault = fault_type()
        self._progress = Progress(options.fault, fault_type.title, options.seconds)
        self._telemetry = Telemetry()
        self._system = SystemView()
        self._forwarder = Forwarder.from_env(os.environ)
        self._receiver = Receiver(self._take)

    async def run(self) -> Outcome:
        """Play it to its end. Whatever happens, no process and no file is left.

        Raises:
            FleetError: the programs do not run.
        """
        fleet = Fleet(keep=self._options.keep)
        try:
            self._receiver.start()
            if self._forwarder is not None:
                self._forwarder.start()
            await self._play(fleet)
        finally:
            await fleet.close()
            self._receiver.stop()
        if self._forwarder is not None:
            await asyncio.to_thread(self._forwarder.stop)
        return self._outcome(fleet)

    async def _play(self, fleet: Fleet) -> None:
        seconds = self._options.seconds
        progress = self._progress
        self._enter(Phase.START, "starting an orchestrator and four workers under opentelemetry-instrument")
        await self._while_showing(fleet, fleet.start(instrumented(self._receiver.endpoint, fleet.directory)))
        progress.ready_at = time.monotonic()
        self._enter(Phase.BASELINE, "all is well; the detectors learn what is normal")
        await self._show_for(fleet, BASELINE_SHARE * seconds)
        if progress.fault is not FaultName.NONE:
            progress.injected_at = time.time()
        self._enter(Phase.FAULT, progress.title)
        await self._fault.inject(fleet, FAULT_SHARE * seconds)
        await self._show_for(fleet, FAULT_SHARE * seconds)
        await self._fault.heal(fleet)
        progress.healed_at = time.time()
        restarted = fleet.restart_dead_workers()
        self._enter(Phase.RECOVERY, "the cause is gone" + "".join(f"; {name} is started again" for name in restarted))
        await self._show_for(fleet, (1 - BASELINE_SHARE - FAULT_SHARE) * seconds)
        self._enter(Phase.STOP, "stopping the programs")
        await self._while_showing(fleet, fleet.stop())

    async def _while_showing(self, fleet: Fleet, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        try:
            while not task.done():
                await asyncio.wait([task], timeout=TICK_S)
                self._show(fleet)
            task.result()
        finally:
            task.cancel()

    async def _show_for(self, fleet: Fleet, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (left_s := deadline - time.monotonic()) > 0:
            self._show(fleet)
            await asyncio.sleep(min(TICK_S, left_s))

    def _enter(self, phase: Phase, note: str) -> None:
        self._progress.phase = phase
        self._progress.note = note
        self._view.update(self._progress)

    def _show(self, fleet: Fleet) -> None:
        progress = self._progress
        if progress.ready_at is not None:
            progress.state = look(fleet)
        progress.received = self._telemetry.received()
        self._system.advance(time.time())
        progress.alerts = self._alerts()
        self._view.update(progress)

    def _take(self, signal: Signal, message: Message, body: bytes) -> None:
        self._telemetry.take(signal, message)
        self._system.take(message)
        if self._forwarder is not None:
            self._forwarder.offer(signal, body)

    def _outcome(self, fleet: Fleet) -> Outcome:
        return Outcome(
            fault=self._options.fault,
            title=self._progress.title,
            injected_at=self._progress.injected_at,
            healed_at=self._progress.healed_at,
            alerts=tuple(self._alerts()),
            spans=self._telemetry.spans(),
            received=self._telemetry.received(),
            kept=fleet.directory if self._options.keep else None,
            forwarding=self._forwarder.summary() if self._forwarder is not None else "",
            expected=self._fault.verdict,
            verdicts=(*self._system.verdicts(), *self._telemetry.verdicts()),
            complaints=tuple(self._system.complaints),
        )

    def _alerts(self) -> list[AlertEvent]:
        return sorted([*self._telemetry.alerts(), *self._system.alerts()], key=lambda alert: alert.at)
