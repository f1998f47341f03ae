"""One replay, from files to output objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from otel_monitor.replay import report
from otel_monitor.replay.duplicates import Duplicates
from otel_monitor.replay.intake import Intake
from otel_monitor.replay.ledger import Ledger
from otel_monitor.replay.lines import Lines
from otel_monitor.replay.merge import merged
from otel_monitor_processors.engine import Engine

_MANY_LATE = 0.1


def replay(
    files: Sequence[Lines], engine: Engine, ledger: Ledger, confidence_every_s: float | None = None
) -> Iterator[dict[str, Any]]:
    """Everything that `engine` finds in the files, in the order of event time, and a summary."""
    intake = Intake(engine, ledger, confidence_every_s)
    duplicates = Duplicates(ledger)
    for batch in merged(files, ledger):
        if duplicates.is_one(batch):
            continue
        for output in intake.take(batch.records):
            yield report.to_json(output)
        _tell_failures(engine, ledger)
    for output in intake.conclude():
        yield report.to_json(output)
    _tell_failures(engine, ledger)
    ledger.conclude()
    if ledger.late > _MANY_LATE * sum(ledger.read):
        ledger.note(
            f"{ledger.late:,} of {sum(ledger.read):,} records came too late to be used, by more than "
            f"{intake.allowed_lateness_s:.0f} s at last: do the clocks of the senders differ?"
        )
    if ledger.twice:
        ledger.note(f"{ledger.twice:,} records stood there twice, in lines that are the same: they were used once")
    if intake.dropped:
        ledger.note(
            f"{intake.dropped:,} sources, series or tasks more than are kept at a time: the longest idle ones were let "
            "go, what they did later counts as theirs anew"
        )
    yield report.summary(ledger, max(0.0, intake.newest_s - intake.first_s))


def _tell_failures(engine: Engine, ledger: Ledger) -> None:
    """A detector of ours that raises is a fault of ours; the others have gone on."""
    for failure in engine.take_failures():
        ledger.internal_error(f"detector.{failure.pattern}", str(failure))
