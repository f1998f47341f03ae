"""What was found in each recording, for whoever wants to look closer than the page does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from benchmarks.detection.evaluation.alarms import Alarm, Judgement
from benchmarks.detection.evaluation.running import Result


def of(result: Result) -> dict[str, Any]:
    """One recording; times are seconds after its beginning."""
    label = result.label
    return {
        "name": label.name,
        "facts": label.facts,
        "seconds": round(result.seconds, 3),
        "failures": [_failure(result, number) for number in range(len(label.faults))],
        "false": _alarms(result, result.judgement.false),
        "tolerated": _alarms(result, result.judgement.tolerated),
        "thresholds_false": _alarms(result, result.naive.false),
        "summary": result.summary,
        "cpu_s": round(result.cpu_s, 3),
    }


def _failure(result: Result, number: int) -> dict[str, Any]:
    fault = result.label.faults[number]
    return {
        "pattern": fault.pattern,
        "mechanism": fault.mechanism,
        "onset": round(fault.onset - result.label.start, 3),
        "end": round(fault.end - result.label.start, 3),
        "sources": list(fault.sources),
        "visible": fault.visible,
        "found": _hit(result.judgement, number),
        "thresholds_found": _hit(result.naive, number),
    }


def _hit(judgement: Judgement, number: int) -> dict[str, Any] | None:
    hit = judgement.hits.get(number)
    if hit is None:
        return None
    return {"delay_s": round(hit.delay_s, 3), "lead": hit.lead, "overlap": hit.overlap, "root_named": hit.root_named}


def _alarms(result: Result, alarms: Iterable[Alarm]) -> list[dict[str, Any]]:
    start = result.label.start
    return [
        {"pattern": alarm.pattern, "at": round(alarm.at - start, 3), "sources": list(alarm.sources(alarm.until))}
        for alarm in alarms
    ]
