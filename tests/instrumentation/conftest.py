"""A recording process for each test, and pairs of twins in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from otel_monitor.instrumentation import recorder
from otel_monitor.instrumentation.patching import patches
from otel_monitor.instrumentation.registry import registry
from tests.instrumentation.programs import Programs
from tests.instrumentation.twins import Pair, Twins, instrument
from tests.processes import Processes
from tests.telemetry.recording import Process, start_process


@pytest.fixture
def process() -> Iterator[Process]:
    """A process that records; everything is unwrapped again at its end."""
    yield start_process()
    registry.clear()
    patches.restore()
    recorder.uninstall()


@pytest.fixture
def twins(process: Process) -> Pair:
    """Makes a class twice and wraps the second one, as a worker."""

    def pair(make: Callable[[], Any]) -> Twins:
        return Twins(make(), instrument(make()), process)

    return pair


@pytest.fixture
def programs(processes: Processes, tmp_path: Path) -> Programs:
    """Runs programs that know nothing of us, with and without instrumentation."""
    return Programs(processes, tmp_path)
