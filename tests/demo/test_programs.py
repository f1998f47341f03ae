"""The demo's programs know nothing of us, run without us, and say the same when we watch."""

from __future__ import annotations

import ast
import re
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from otel_monitor.demo.fleet import PROGRAMS
from tests.polling import eventually
from tests.processes import Processes

FOREIGN = ("otel", "opentelemetry", "wrapt")


@pytest.mark.parametrize("path", sorted(PROGRAMS.glob("*.py")), ids=lambda path: path.name)
def test_a_program_imports_the_standard_library_alone(path: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add(str(node.module).partition(".")[0])
    assert imported <= set(sys.stdlib_module_names)


@pytest.mark.parametrize("path", sorted(PROGRAMS.glob("*.py")), ids=lambda path: path.name)
def test_a_program_does_not_even_mention_us(path: Path) -> None:
    source = path.read_text().lower()
    assert [word for word in FOREIGN if word in source] == []


def test_the_programs_say_the_same_with_and_without_instrumentation(processes: Processes, tmp_path: Path) -> None:
    bare = a_short_life(processes, tmp_path / "bare.db", [])
    assert "worker w1 deregistered" in bare
    watched = a_short_life(processes, tmp_path / "watched.db", ["opentelemetry-instrument"])
    assert watched == bare


def a_short_life(processes: Processes, database: Path, prefix: list[str]) -> str:
    """What an orchestrator and a worker print from their start to their end, without times and ports."""
    environment = {
        "OTEL_MONITOR_ORCHESTRATORS": "__main__:Orchestrator",
        "OTEL_MONITOR_WORKERS": "__main__:Worker",
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
    }
    orchestrator = processes.start(
        *prefix, sys.executable, PROGRAMS / "orchestrator.py", "--database", database, env=environment
    )
    orchestrator.wait_for("listening on")
    address = re.findall(r"127\.0\.0\.1:\d+", orchestrator.stderr + orchestrator.stdout)[0]
    arguments = ("--id", "w1", "--orchestrator", address, "--database", str(database))
    worker = processes.start(*prefix, sys.executable, PROGRAMS / "worker.py", *arguments, env=environment)
    worker.wait_for("registered as w1")
    eventually(lambda: has_results(database), what="a processed item")
    for program in (worker, orchestrator):
        program.send(signal.SIGTERM)
        assert program.wait(20) == 0, program
    said = [program.stdout + program.stderr for program in (orchestrator, worker)]
    return re.sub(r"(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} |:\d+$", "", "\n".join(said))


def has_results(database: Path) -> bool:
    with closing(sqlite3.connect(database)) as connection:
        return bool(connection.execute("SELECT count(*) FROM results").fetchone()[0])
