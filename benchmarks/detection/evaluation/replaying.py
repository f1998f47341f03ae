"""Recordings through `otel-monitor replay`: in this process by the command's own reader, or by the command itself."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from otel_monitor.detection import build_engine
from otel_monitor.replay.ledger import Ledger, Origin
from otel_monitor.replay.lines import LineFile
from otel_monitor.replay.replay import replay
from otel_monitor.settings import Settings
from otel_monitor_processors.engine import Engine, Transition
from otel_monitor_processors.observation import Observation

CELL_S = 60.0

Listener = Callable[[Observation], None]


@dataclass(slots=True)
class Outcome:
    """What a replay has said."""

    verdicts: list[dict[str, Any]] = field(default_factory=list)
    confidences: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    cpu_s: float = 0.0

    def take(self, found: dict[str, Any]) -> None:
        kind = found["type"]
        if kind == "verdict":
            self.verdicts.append(found)
        elif kind == "confidence":
            self.confidences.append(found)
        elif kind == "summary":
            self.summary = found


class _Stream:
    """Lines that somebody makes, where the reader expects a file."""

    def __init__(self, name: str, lines: Iterable[str]) -> None:
        self.name = name
        self._lines = lines

    def lines(self, ledger: Ledger) -> Iterator[tuple[Origin, bytes]]:
        for number, line in enumerate(self._lines, 1):
            yield Origin(self.name, number), line.encode()

    def close(self) -> None:
        """Nothing is open."""


class _Overheard:
    """An engine, and somebody who listens to what it is told."""

    def __init__(self, engine: Engine, listener: Listener) -> None:
        self._engine = engine
        self._listener = listener

    def observe(self, observations: Iterable[Observation]) -> list[Transition]:
        observations = list(observations)
        for observation in observations:
            self._listener(observation)
        return self._engine.observe(observations)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)


def replay_lines(name: str, lines: Iterable[str], listener: Listener | None = None) -> Outcome:
    """Replay lines in this process, with the default settings; `listener` is told every observation besides."""
    return _replay(cast("LineFile", _Stream(name, lines)), listener)


def overhear(name: str, lines: Iterable[str], listener: Listener) -> None:
    """Let `listener` hear the observations of a recording; nobody else does."""
    _replay(cast("LineFile", _Stream(name, lines)), listener, Engine((), ()))


def replay_with(engine: Engine, name: str, lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Replay lines through an engine of one's own: everything that is said, as it is."""
    return replay([cast("LineFile", _Stream(name, lines))], engine, Ledger(lambda _text: None), CELL_S)


def _replay(file: LineFile, listener: Listener | None, engine: Engine | None = None) -> Outcome:
    outcome = Outcome()
    engine = engine if engine is not None else build_engine(Settings())
    heard = engine if listener is None else cast("Engine", _Overheard(engine, listener))
    began = time.process_time()
    for found in replay([file], heard, Ledger(outcome.complaints.append), CELL_S):
        outcome.take(found)
    outcome.cpu_s = time.process_time() - began
    return outcome


def replay_file_by_command(path: Path) -> Outcome:
    outcome = Outcome()
    command = [sys.executable, "-m", "otel_monitor", "replay", str(path), "--confidence-every", str(CELL_S)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for line in done.stdout.splitlines():
        outcome.take(json.loads(line))
    outcome.complaints += done.stderr.splitlines()
    return outcome
