"""A real OpenTelemetry Collector, as `make collector` builds it, on free loopback ports."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.polling import eventually
from tests.processes import Processes, Program

Json = dict[str, Any]


@dataclass(frozen=True)
class Collector:
    """A running Collector: where it listens, and what it has received so far."""

    program: Program
    grpc_endpoint: str
    http_endpoint: str
    file: Path

    def endpoint(self, protocol: str) -> str:
        """Where it takes this protocol."""
        return self.grpc_endpoint if protocol == "grpc" else self.http_endpoint

    def _requests(self, kind: str) -> Iterator[Json]:
        for line in self.file.read_text().splitlines(keepends=True):
            if line.endswith("\n"):  # the last line may still be on its way to the disk
                yield from json.loads(line).get(kind, [])

    def spans(self) -> list[Json]:
        return [
            span
            for batch in self._requests("resourceSpans")
            for scope in batch["scopeSpans"]
            for span in scope["spans"]
        ]

    def metrics(self) -> list[Json]:
        return [
            metric
            for batch in self._requests("resourceMetrics")
            for scope in batch["scopeMetrics"]
            for metric in scope["metrics"]
        ]

    def logs(self) -> list[Json]:
        return [
            record
            for batch in self._requests("resourceLogs")
            for scope in batch["scopeLogs"]
            for record in scope["logRecords"]
        ]

    def services(self) -> set[str]:
        """The `service.name` of everything received."""
        kinds = ("resourceSpans", "resourceMetrics", "resourceLogs")
        return {attributes(batch["resource"])["service.name"] for kind in kinds for batch in self._requests(kind)}


def attributes(holder: Json) -> Json:
    """The attributes of a span, record or resource of OTLP's JSON as a plain dict."""
    return {pair["key"]: next(iter(pair["value"].values())) for pair in holder.get("attributes", [])}


@pytest.fixture(scope="session")
def collector_binary(repository: Path) -> Path:
    """The Collector that `make collector` has built."""
    shown = subprocess.run(
        [repository / "scripts" / "collector.sh", "--path"], check=True, capture_output=True, text=True
    )
    binary = Path(shown.stdout.strip())
    if not binary.exists():
        pytest.skip("no Collector here: 'make collector' builds one (needs Go 1.25 or newer: https://go.dev/dl)")
    return binary


@pytest.fixture
def collector(
    collector_binary: Path, repository: Path, processes: Processes, free_port: Callable[[], int], tmp_path: Path
) -> Iterator[Collector]:
    """A Collector with `collector-config/collector.yaml`; it must not warn about that file in the end."""
    grpc, http, health = (f"127.0.0.1:{free_port()}" for _ in range(3))
    file = tmp_path / "telemetry.jsonl"
    program = processes.start(
        collector_binary,
        "--config",
        repository / "collector-config" / "collector.yaml",
        env={
            "COLLECTOR_GRPC_ENDPOINT": grpc,
            "COLLECTOR_HTTP_ENDPOINT": http,
            "COLLECTOR_HEALTH_ENDPOINT": health,
            "COLLECTOR_METRICS_PORT": str(free_port()),
            "COLLECTOR_FILE": str(file),
        },
    )

    def healthy() -> bool:
        assert program.returncode is None, program
        try:
            with urllib.request.urlopen(f"http://{health}", timeout=1) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    eventually(healthy, 60, f"health of {program}")
    yield Collector(program, f"http://{grpc}", f"http://{http}", file)
    assert program.stop() == 0, program
    assert "deprecated" not in program.stderr, program
