"""Log records of OTLP's JSON as the mapping reads them."""

from __future__ import annotations

from typing import Any

from otel_monitor.replay.values import Malformed, Object, attributes_of, seconds, trace_of
from otel_monitor_processors.otel.mapping import LogFacts

FIELDS = frozenset(
    (
        *("timeUnixNano", "observedTimeUnixNano", "severityNumber", "severityText", "body", "attributes"),
        *("droppedAttributesCount", "flags", "traceId", "spanId", "eventName"),
    )
)

_LONGEST_TEXT = 4_096
_LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
_SEVERITIES = {
    f"SEVERITY_NUMBER_{name}{grade if grade > 1 else ''}": 4 * level + grade
    for level, name in enumerate(_LEVELS)
    for grade in range(1, 5)
}


def log_of(record: Object, source: str, service: str) -> LogFacts:
    """One log record.

    Raises:
        Malformed: it says something that cannot be.
        values.SHAPE: it is no log record.
    """
    at_s = seconds(record.get("timeUnixNano", 0)) or seconds(record.get("observedTimeUnixNano", 0))
    if not at_s:
        raise Malformed("log record without a time")
    return LogFacts(
        at_s=at_s,
        severity_number=_severity(record.get("severityNumber", 0)),
        event_name=str(record.get("eventName", "")),
        attributes=attributes_of(record.get("attributes")),
        trace=trace_of(record),
        source=source,
        service=service,
        text=_text(record.get("body")),
    )


def _text(body: Any) -> str:
    text = body.get("stringValue") if type(body) is dict else None
    return text[:_LONGEST_TEXT] if type(text) is str else ""


def _severity(raw: Any) -> int:
    return raw if type(raw) is int else _SEVERITIES.get(raw, 0)
