"""What the tests of alerts in real programs share with those of start-up."""

from __future__ import annotations

import pytest

from tests.processes import Processes
from tests.startup.conftest import Launcher


@pytest.fixture
def launch(processes: Processes) -> Launcher:
    return Launcher(processes)
