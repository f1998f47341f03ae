"""The benchmarks run, and measure what they say."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from tests.processes import Processes


def test_the_overhead_benchmark_compares_wrapped_calls_with_the_stock_sdk(
    processes: Processes, repository: Path
) -> None:
    script = repository / "benchmarks" / "overhead.py"
    path = os.pathsep.join([str(repository), *sys.path])
    program = processes.run(
        sys.executable, script, "--rounds", "1", "--calls", "50", "--json", env={"PYTHONPATH": path}, timeout_s=120.0
    )
    assert program.returncode == 0, program
    rows = {row["case"]: row for row in json.loads(program.stdout)}
    assert rows["stock span and histogram"]["cpu_ratio"] == 1.0
    assert {"plain call", "wrapped process", "wrapped process, async", "wrapped heartbeat"} <= set(rows)
    assert all(row["wall_us"] > 0 for row in rows.values())
