"""Recorded failures of real systems, judged by the same measure. Their labels are those of their own README."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.detection.evaluation.naive import NaiveMonitor
from benchmarks.detection.evaluation.replaying import replay_lines
from benchmarks.detection.evaluation.running import Result, judged
from benchmarks.detection.scenarios.labels import Fault, Label, Tolerance

_UNLISTED = "cascading_failures"


def label_of(row: dict[str, Any]) -> Label:
    """One line of `labels.jsonl` as a label.

    `patterns` null: a fault that is none of the six; nothing is demanded, and only what is tolerated may be said.
    A fault that the telemetry does not show is not demanded either.
    """
    start, end = float(row["start"]), float(row["end"])
    faults = row["label"]
    expected = list(row["patterns"] or ())
    visible = row.get("evidence", {}).get("visible", True) is not False
    tolerances = []
    if "tolerances" not in row:
        tolerances.append(Tolerance(start, end + 600.0, frozenset(row.get("tolerated") or ()), "whole file"))
    tolerances += [
        Tolerance(burst["start"], burst["end"] + 60.0, frozenset({_UNLISTED}), str(burst["kind"]))
        for burst in row.get("unlisted") or ()
    ]
    tolerances += [
        Tolerance(item["start"], item["end"], frozenset(item["patterns"]), item["why"])
        for item in row.get("tolerances") or ()
    ]
    if "pattern" in (faults[0] if faults else {}):
        made = tuple(_own(fault) for fault in faults)
    else:
        onset = min((float(fault["start"]) for fault in faults), default=start)
        until = max((float(fault["end"]) for fault in faults), default=end)
        targets = tuple(dict.fromkeys(str(fault["target"]) for fault in faults))
        kinds = ", ".join(dict.fromkeys(str(fault["kind"]) for fault in faults))
        made = tuple(Fault(pattern, kinds, onset, max(onset, until), targets, visible=visible) for pattern in expected)
    facts = {
        "dataset": row.get("dataset", ""),
        "kinds": sorted({str(fault["kind"]) for fault in faults}),
        "expected": row["patterns"],
        "outcome": row.get("outcome"),
        "faulty": bool(faults),
    }
    return Label(str(row["file"]), start, end, made, tuple(tolerances), facts)


def _own(fault: dict[str, Any]) -> Fault:
    """A label that the simulator has written."""
    return Fault(
        fault["pattern"],
        fault["mechanism"],
        fault["start"],
        fault["end"],
        tuple(fault["sources"]),
        tuple(tuple(sources) for sources in fault["accepted"]),
        frozenset(fault["secondary"]),
        fault["root"],
        fault["limit_at"],
        visible=fault["visible"],
    )


def rows_of(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every labelled file below a folder."""
    for labels in sorted(folder.rglob("labels.jsonl")):
        for line in labels.read_text().splitlines():
            if line.strip():
                row = json.loads(line)
                yield labels.parent / row["file"], row


def evaluate_recorded(labelled: tuple[Path, dict[str, Any]]) -> Result:
    """One recorded file with its line of labels, replayed in this process."""
    path, row = labelled
    label = label_of(row)
    monitor = NaiveMonitor()
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        outcome = replay_lines(label.name, (line for line in file), monitor.hear)
    return judged(label, outcome, monitor)
