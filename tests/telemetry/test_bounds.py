"""Memory stays bounded, whatever the ids; what had to go is counted."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from tests.processes import Processes


def test_a_million_calls_with_a_hundred_thousand_worker_ids_add_less_than_100_mb(
    processes: Processes, repository: Path
) -> None:
    path = os.pathsep.join([str(repository), *sys.path])
    program = processes.run(
        sys.executable, "-m", "tests.telemetry.million_calls", env={"PYTHONPATH": path}, timeout_s=400.0
    )
    assert program.returncode == 0, program
    told = json.loads(program.stdout)
    assert told["added_bytes"] < 100 << 20
    assert told["dropped"]["fleet/worker_limit"] > 0
    assert told["dropped"]["tasks/task_limit"] > 0
