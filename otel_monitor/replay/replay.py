"""One replay, from files to output objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from otel_monitor.replay import report
from otel_monitor.replay.intake import Intake
from otel_monitor.replay.lines import LineFile
from otel_monitor.replay.merge import merged
from otel_monitor.replay.tally import Tally
from otel_monitor_processors.engine import Engine


def replay(
    files: Sequence[LineFile], engine: Engine, tally: Tally, confidence_every_s: float | None = None
) -> Iterator[dict[str, Any]]:
    """Everything that `engine` finds in the files, in the order of event time, and a summary."""
    intake = Intake(engine, tally, confidence_every_s)
    for batch in merged(files, tally):
        for output in intake.take(batch.records):
            yield report.to_json(output)
    for output in intake.conclude():
        yield report.to_json(output)
    tally.conclude()
    if intake.dropped:
        tally.note(
            f"{intake.dropped:,} series or sources more than are kept at a time: the longest idle ones were let go, "
            "what they did later counts as theirs anew"
        )
    yield report.summary(tally, max(0.0, intake.newest_s - intake.first_s))
