"""What is true of a recording, in the form of the labels of recorded data, and more of it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Fault:
    """One failure: which pattern must be found, when, and where."""

    pattern: str
    mechanism: str
    onset: float
    end: float
    sources: tuple[str, ...] = ()
    accepted: tuple[tuple[str, ...], ...] = ()
    """Other sets of sources that are just as right."""
    secondary: frozenset[str] = frozenset()
    """Patterns tolerated besides, while it lasts."""
    root: str | None = None
    limit_at: float | None = None
    led_up_from: float | None = None
    """When that began which led up to it, if that was long before."""
    visible: bool = True
    """Whether the telemetry shows it at all: what it does not show is not demanded."""

    @property
    def since(self) -> float:
        """From when an alarm is right: some failures are there to see before they are complete."""
        return self.onset if self.led_up_from is None else min(self.led_up_from, self.onset)


@dataclass(frozen=True, slots=True)
class Tolerance:
    """For a while, alarms of these patterns are neither demanded nor wrong."""

    start: float
    end: float
    patterns: frozenset[str]
    why: str


@dataclass(frozen=True, slots=True)
class Label:
    """Everything that is true of one recording."""

    name: str
    start: float
    end: float
    faults: tuple[Fault, ...] = ()
    tolerances: tuple[Tolerance, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    """How the recording may be grouped: load, workers, dialect."""

    def tolerated(self, pattern: str, at: float) -> bool:
        """Whether an alarm of this pattern is neither right nor wrong at a time."""
        return any(span.start <= at <= span.end and pattern in span.patterns for span in self.tolerances)

    def to_json(self, file: str) -> dict[str, Any]:
        """One line of `labels.jsonl`."""
        return {
            "file": file,
            "dataset": "simulated",
            "split": self.facts.get("split", ""),
            "start": self.start,
            "end": self.end,
            "label": [_fault(fault) for fault in self.faults],
            "patterns": sorted({fault.pattern for fault in self.faults if fault.visible}),
            "tolerated": sorted({pattern for span in self.tolerances for pattern in span.patterns}),
            "tolerances": [
                {"start": span.start, "end": span.end, "patterns": sorted(span.patterns), "why": span.why}
                for span in self.tolerances
            ],
            "evidence": {"visible": all(fault.visible for fault in self.faults)},
            "facts": self.facts,
        }


def _fault(fault: Fault) -> dict[str, Any]:
    return {
        "kind": fault.mechanism,
        "target": fault.root or (fault.sources[0] if fault.sources else ""),
        "start": fault.onset,
        "end": fault.end,
        "end_source": "simulator",
        "pattern": fault.pattern,
        "mechanism": fault.mechanism,
        "sources": list(fault.sources),
        "accepted": [list(sources) for sources in fault.accepted],
        "secondary": sorted(fault.secondary),
        "root": fault.root,
        "limit_at": fault.limit_at,
        "visible": fault.visible,
    }


def write_labels(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows))
