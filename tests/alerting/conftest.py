"""What the tests of alerts in real programs share with those of start-up and of channels."""

from __future__ import annotations

import pytest

from tests.channels.conftest import alertmanager, told
from tests.processes import Processes
from tests.startup.conftest import Launcher

__all__ = ["alertmanager", "launch", "told"]


@pytest.fixture
def launch(processes: Processes) -> Launcher:
    return Launcher(processes)
