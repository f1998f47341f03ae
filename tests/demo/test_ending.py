"""However the demo ends, nothing of it stays behind: no process, no file."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import psutil
import pytest

from tests.polling import eventually
from tests.processes import Processes, Program


@pytest.fixture
def demo(processes: Processes, tmp_path: Path) -> Program:
    """A demo whose workers are at work."""
    program = processes.start(
        sys.executable, "-m", "otel_monitor", "demo", "none", "--seconds", "60", env={"TMPDIR": str(tmp_path)}
    )
    program.wait_for("baseline:")
    assert len(left_of(tmp_path)) == 6, "an orchestrator, four workers and the watchdog"
    return program


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_everything(number: signal.Signals, demo: Program, tmp_path: Path) -> None:
    demo.send(number)
    assert demo.wait(10) == 128 + number
    assert "interrupted; every process of the demo has ended" in demo.stderr
    assert "Traceback" not in demo.stdout + demo.stderr
    assert left_of(tmp_path) == []
    assert directories(tmp_path) == []


def test_a_second_signal_does_not_disturb_the_clearing_up(demo: Program, tmp_path: Path) -> None:
    demo.send(signal.SIGINT)
    demo.send(signal.SIGTERM)
    demo.send(signal.SIGINT)
    assert demo.wait(10) in {130, 143}
    assert left_of(tmp_path) == []
    assert directories(tmp_path) == []


def test_even_after_kill_9_nothing_stays(demo: Program, tmp_path: Path) -> None:
    demo.send(signal.SIGKILL)
    demo.wait(10)
    eventually(lambda: not left_of(tmp_path) and not directories(tmp_path), what="the end of every process")


def left_of(directory: Path) -> list[str]:
    """Command lines of living processes that name the directory."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        command = " ".join(process.info["cmdline"] or [])
        if f"{directory}/otel-monitor-demo-" in command and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(command)
    return found


def directories(directory: Path) -> list[Path]:
    return list(directory.glob("otel-monitor-demo-*"))
