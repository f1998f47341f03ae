"""A recording process for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from otel_monitor.instrumentation import recorder
from tests.telemetry.recording import Process, start_process


@pytest.fixture
def process() -> Iterator[Process]:
    yield start_process()
    recorder.uninstall()
