"""Spans of OTLP's JSON as the mapping reads them."""

from __future__ import annotations

from typing import Any

from otel_monitor.replay.values import Malformed, Object, attributes_of, seconds, trace_of
from otel_monitor_processors.otel.mapping import LONGEST_SPAN_S, SpanRecord

FIELDS = frozenset(
    (
        *("traceId", "spanId", "parentSpanId", "traceState", "flags", "name", "kind", "status"),
        *("startTimeUnixNano", "endTimeUnixNano", "attributes", "events", "links"),
        *("droppedAttributesCount", "droppedEventsCount", "droppedLinksCount"),
    )
)

_KINDS = ("INTERNAL", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
"""By number; unspecified means internal."""
_KIND_NAMES = frozenset(_KINDS)
_ERROR = (2, "STATUS_CODE_ERROR")
_NO_PARENT = (None, "", "0000000000000000")
_SAYS_IF_REMOTE = 0x100
_IS_REMOTE = 0x200


def span_of(span: Object, source: str, service: str) -> SpanRecord:
    """One span.

    Raises:
        Malformed: it says something that cannot be.
        values.SHAPE: it is no span.
    """
    start_s, end_s = seconds(span.get("startTimeUnixNano", 0)), seconds(span.get("endTimeUnixNano", 0))
    if not end_s:
        raise Malformed("span without an end")
    if end_s < start_s:
        raise Malformed("span that ends before it starts")
    if end_s - start_s > LONGEST_SPAN_S:
        raise Malformed("span without a start, or longer than a week")
    status = span.get("status") or {}
    message = status.get("message")
    attributes = attributes_of(span.get("attributes"))
    events = span.get("events")
    return SpanRecord(
        name=str(span.get("name", "")),
        kind=_kind(span.get("kind", 0)),
        local_root=_local_root(span),
        failed=status.get("code") in _ERROR,
        status_description=message if type(message) is str else None,
        attributes=_with_exception(attributes, events) if events else attributes,
        start_s=start_s,
        end_s=end_s,
        trace=trace_of(span),
        source=source,
        service=service,
    )


def _kind(raw: Any) -> str:
    if type(raw) is int:
        return _KINDS[raw] if 0 <= raw < len(_KINDS) else "INTERNAL"
    name: str = raw.removeprefix("SPAN_KIND_")
    return name if name in _KIND_NAMES else "INTERNAL"


def _local_root(span: Object) -> bool:
    """Whether the span is the first of its trace in its process.

    A sender that does not say whether the parent is remote leaves that open: the parent, which ends later, may
    stand anywhere in what follows. Its spans with a parent count as inner ones; those of kind SERVER and CONSUMER
    count as operations anyway.
    """
    if span.get("parentSpanId") in _NO_PARENT:
        return True
    flags = span.get("flags")
    return type(flags) is int and bool(flags & _SAYS_IF_REMOTE) and bool(flags & _IS_REMOTE)


def _with_exception(attributes: dict[str, Any], events: list[Object]) -> dict[str, Any]:
    """The attributes, and those of the last exception event, which is where older instrumentations put the error."""
    for event in reversed(events):
        if event.get("name") == "exception":
            return {**attributes_of(event.get("attributes")), **attributes}
    return attributes
