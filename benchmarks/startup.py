"""What otel-monitor adds to the start of a program: time, CPU time and memory.

    python benchmarks/startup.py [--rounds 9] [--json]

Each case is a process of its own; the rounds are interleaved, the figures are medians. Exporters are `none`
in all cases, so that no network is measured. "Without" is the same command with OTEL_MONITOR_ENABLED=false.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path

_INSTRUMENT = str(Path(sys.executable).with_name("opentelemetry-instrument"))
_NO_EXPORTERS = {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}


@dataclass
class Case:
    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    wall_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)

    def run(self) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
        started = time.perf_counter()
        process = subprocess.Popen(self.command, env=environment | self.environment)
        _, status, usage = os.wait4(process.pid, 0)
        self.wall_ms.append((time.perf_counter() - started) * 1e3)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{self.name} exited with {process.returncode}: {' '.join(self.command)}")
        self.cpu_ms.append((usage.ru_utime + usage.ru_stime) * 1e3)
        self.memory_mb.append(usage.ru_maxrss / 1024)


def make_cases() -> list[Case]:
    nothing = [sys.executable, "-c", "pass"]
    return [
        Case("python", nothing),
        Case("python, importing otel_monitor", [sys.executable, "-c", "import otel_monitor"]),
        Case(
            "opentelemetry-instrument without",
            [_INSTRUMENT, *nothing],
            _NO_EXPORTERS | {"OTEL_MONITOR_ENABLED": "false"},
        ),
        Case("opentelemetry-instrument with otel-monitor", [_INSTRUMENT, *nothing], _NO_EXPORTERS),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if not any(True for _ in entry_points(group="opentelemetry_distro", name="otel_monitor")):
        raise SystemExit(
            "otel-monitor is not installed here, so that opentelemetry-instrument does not find it: pip install -e ."
        )
    cases = make_cases()
    for _ in range(arguments.rounds):
        for case in cases:
            case.run()
    rows = [
        {
            "case": case.name,
            "wall_ms": round(statistics.median(case.wall_ms), 1),
            "cpu_ms": round(statistics.median(case.cpu_ms), 1),
            "memory_mb": round(statistics.median(case.memory_mb), 1),
        }
        for case in cases
    ]
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    print("| case | wall, ms | CPU, ms | peak memory, MB |")
    print("|---|---:|---:|---:|")
    for row in rows:
        print(f"| {row['case']} | {row['wall_ms']} | {row['cpu_ms']} | {row['memory_mb']} |")
    before, after = (statistics.median(case.wall_ms) for case in cases[-2:])
    print(f"\nStart-up with otel-monitor takes {after / before:.2f} times as long as without.")


if __name__ == "__main__":
    main()
