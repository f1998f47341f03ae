"""Real programs under the real `opentelemetry-instrument`, and what they left on their outputs."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from textwrap import dedent

import pytest

from tests.processes import Processes, Program
from tests.startup.receiver import Receiver, receiving

NOBODY = "http://127.0.0.1:9"
"""An endpoint that refuses every connection."""


@dataclass(frozen=True)
class Run:
    """How a program went."""

    code: int
    stdout: str
    stderr: str
    seconds: float
    ended_at: float

    @property
    def exit_s(self) -> float:
        """How long its end took: its last line on stdout is `time.monotonic()`, which is the whole machine's."""
        return self.ended_at - float(self.stdout.splitlines()[-1])

    @property
    def lines(self) -> list[str]:
        """What it wrote to stderr, a line each."""
        return [line for line in self.stderr.splitlines() if line.strip()]


class Launcher:
    """Runs Python source, with or without instrumentation."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._programs = 0

    def __call__(
        self, source: str, *arguments: str, env: Mapping[str, str] | None = None, options: Sequence[str] = ()
    ) -> Run:
        """Run it instrumented, to the end. `options` are those of `opentelemetry-instrument`."""
        return self._finish(lambda: self.start(source, *arguments, env=env, options=options))

    def plain(self, source: str, *arguments: str, env: Mapping[str, str] | None = None) -> Run:
        """Run it without instrumentation."""
        return self._finish(lambda: self._processes.start(sys.executable, self._path(source), *arguments, env=env))

    def start(
        self, source: str, *arguments: str, env: Mapping[str, str] | None = None, options: Sequence[str] = ()
    ) -> Program:
        """Start it instrumented."""
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": NOBODY, **(env or {})}
        command: list[str | Path] = [*options, sys.executable, self._path(source), *arguments]
        return self._processes.start("opentelemetry-instrument", *command, env=environment)

    def _path(self, source: str) -> Path:
        self._programs += 1
        path = self._processes.folder / f"program{self._programs}.py"
        path.write_text(dedent(source))
        return path

    @staticmethod
    def _finish(start: Callable[[], Program]) -> Run:
        began = time.monotonic()
        program = start()
        code = program.wait(60)
        ended = time.monotonic()
        return Run(code, program.stdout, program.stderr, ended - began, ended)


@pytest.fixture
def launch(processes: Processes) -> Launcher:
    return Launcher(processes)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A good OTLP receiver over HTTP."""
    with receiving() as running:
        yield running


def _installed(repository: Path, name: str, *packages: str) -> Path:
    """A folder with these packages, beside the environment rather than in it; installed once per version."""
    folder = repository / ".cache" / "packages" / f"{name}-{version('opentelemetry-instrumentation')}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            install = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps"]
            subprocess.run([*install, "--target", str(folder), *packages], check=True, timeout=300)
            (folder / "complete").touch()
    return folder


@pytest.fixture(scope="session")
def opentelemetry_distro(repository: Path) -> Path:
    """A folder for PYTHONPATH with `opentelemetry-distro`, which its loader then finds before ours."""
    return _installed(repository, "distro", f"opentelemetry-distro=={version('opentelemetry-instrumentation')}")


@pytest.fixture(scope="session")
def opentelemetry_configuration(repository: Path) -> Path:
    """A folder for PYTHONPATH with what `OTEL_CONFIG_FILE` needs."""
    release = version("opentelemetry-instrumentation")
    needed = (
        "pyyaml",
        "jsonschema",
        "jsonschema-specifications",
        "referencing",
        "rpds-py",
        "attrs",
        "typing_extensions",
    )
    return _installed(repository, "configuration", f"opentelemetry-configuration=={release}", *needed)


def distribution(folder: Path, name: str, entry_points: str, source: str) -> None:
    """A distribution in `folder`, for PYTHONPATH: one module and its entry points."""
    metadata = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(dedent(entry_points))
    (folder / f"{name.replace('-', '_')}.py").write_text(dedent(source))
