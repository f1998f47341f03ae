"""The live view: what is happening, the workers, the alerts as they fire."""

from __future__ import annotations

import os
import shutil
import time
from typing import TextIO

from otel_monitor.demo.episodes import episodes
from otel_monitor.demo.fleet_state import WorkerState
from otel_monitor.demo.report import COUNTED, Style, episode_line, when
from otel_monitor.demo.scenario import Phase, Progress
from otel_monitor.demo.telemetry import AlertEvent

_STATUS_EVERY_S = 5.0


class LiveView:
    """Redraws a few lines in place, on a terminal."""

    def __init__(self, stream: TextIO, style: Style) -> None:
        self._stream = stream
        self._style = style
        self._drawn = 0

    def update(self, progress: Progress) -> None:
        columns, rows = shutil.get_terminal_size()
        lines = frame(progress, self._style)[: rows - 1]
        up = f"\x1b[{self._drawn}F" if self._drawn else "\x1b[?25l"
        body = "".join(f"\x1b[2K{self._style.cut(line, columns - 1)}\n" for line in lines)
        self._stream.write(up + body + "\x1b[J")
        self._stream.flush()
        self._drawn = len(lines)

    def close(self) -> None:
        """Leave the last picture and give the cursor back."""
        if self._drawn:
            self._stream.write("\x1b[?25h")
            self._stream.flush()


class PlainView:
    """Appends a line for everything that changes, for files and pipes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._phase: Phase | None = None
        self._status_at = 0.0
        self._workers: dict[str, tuple[str, str]] = {}
        self._told: set[AlertEvent] = set()

    def update(self, progress: Progress) -> None:
        if progress.phase is not self._phase:
            self._phase = progress.phase
            self._say(progress, f"{progress.phase}: {progress.note}")
            self._status_at = time.monotonic()
        if progress.phase is not Phase.STOP:  # there, everything ends
            for worker in progress.state.workers:
                self._tell_change(progress, worker)
        for alert in progress.alerts:
            if alert.state in {"firing", "resolved"} and alert not in self._told:
                self._told.add(alert)
                self._say(progress, f"ALERT {when(alert, progress.injected_at)} {_alert(alert)}")
        if progress.state.workers and time.monotonic() - self._status_at >= _STATUS_EVERY_S:
            self._status_at = time.monotonic()
            self._say(progress, "  ".join(f"{w.name} {_load(w)}" for w in progress.state.workers))

    def close(self) -> None:
        """Nothing is open."""

    def _tell_change(self, progress: Progress, worker: WorkerState) -> None:
        now = (worker.process, worker.membership)
        before = self._workers.get(worker.name)
        self._workers[worker.name] = now
        if before is not None and before != now:
            self._say(progress, f"{worker.name}: process {worker.process}, {worker.membership} for the orchestrator")

    def _say(self, progress: Progress, text: str) -> None:
        self._stream.write(f"[{time.monotonic() - progress.began_at:5.1f} s] {text}\n")
        self._stream.flush()


def frame(progress: Progress, style: Style) -> list[str]:
    """The picture of this moment."""
    lines = [
        style.bold(f"otel-monitor demo · {progress.fault}") + f"   {_time(progress)}",
        _phases(progress, style),
        "",
        f"  {progress.note}",
        "",
        style.dim(f"  {'worker':8}{'process':12}{'membership':13}{'heartbeat':>11}{'streams':>9}{'items/s':>9}"),
    ]
    lines += [_worker_line(worker, style) for worker in progress.state.workers]
    if progress.state.processed_twice:
        lines.append(style.warn(f"  {progress.state.processed_twice} streams are processed by two workers at once"))
    lines += ["", style.dim("  received over OTLP: " + _counts(progress)), "", "  alerts"]
    lines += [
        "  " + episode_line(episode, progress.injected_at, progress.healed_at, style)
        for episode in episodes(progress.alerts)
    ] or [style.dim("  none so far")]
    return lines


def _time(progress: Progress) -> str:
    if progress.ready_at is None:
        return "starting"
    return f"{min(time.monotonic() - progress.ready_at, progress.seconds):.0f} of {progress.seconds:.0f} s"


def _phases(progress: Progress, style: Style) -> str:
    order = list(Phase)
    reached = order.index(progress.phase)
    parts = []
    for position, phase in enumerate(order):
        if position < reached:
            parts.append(style.good(f"✓ {phase}"))
        elif position == reached:
            parts.append(style.bold(f"▶ {phase}"))
        else:
            parts.append(style.dim(f"  {phase}"))
    return "  " + "   ".join(parts)


def _worker_line(worker: WorkerState, style: Style) -> str:
    age = "-" if worker.heartbeat_age_s is None else f"{worker.heartbeat_age_s:.1f} s ago"
    text = f"  {worker.name:8}{worker.process:12}{worker.membership:13}{age:>11}"
    text += f"{worker.streams:>9}{worker.items_per_s:>9.1f}"
    healthy = worker.process == "running" and worker.membership == "available"
    return text if healthy else style.warn(text)


def _alert(alert: AlertEvent) -> str:
    return f"{alert.state} [{alert.severity}] {alert.rule}, {alert.reporter}: {alert.summary}"


def _load(worker: WorkerState) -> str:
    age = "-" if worker.heartbeat_age_s is None else f"{worker.heartbeat_age_s:.1f} s"
    return f"[heartbeat {age}, {worker.streams} streams, {worker.items_per_s:.1f}/s]"


def _counts(progress: Progress) -> str:
    counts = progress.received
    return ", ".join(f"{counts.get(signal, 0):,} {name}" for signal, name in COUNTED.items())


def is_live(stream: TextIO) -> bool:
    """Whether the stream is a terminal that can redraw."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
