"""Spans, log records and metric points as observations: one mapping for live signals and decoded OTLP.

Instrumentations of every age are out there, so for each attribute its predecessors are read too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from otel_monitor_processors.classification import Category, classify_attributes
from otel_monitor_processors.observation import (
    ORCHESTRATOR_PEER,
    Assignment,
    Change,
    DatabaseOperation,
    ErrorLog,
    Heartbeat,
    Link,
    Membership,
    Observation,
    Operation,
    Outcome,
    TraceRef,
)
from otel_monitor_processors.otel import attributes as names

LONGEST_SPAN_S = 7 * 86_400.0
"""A span that is longer has a start time that was never set."""

_PEER = (
    "peer.service",
    "server.address",
    "net.peer.name",
    "net.peer.ip",
    names.WORKER_ID,
    "messaging.destination.name",
    "messaging.destination",
)
_DATABASE = ("db.system.name", "db.system")
_SOURCE = ("service.instance.id", "host.name", "k8s.pod.name", "service.name")
_HEARTBEAT = "heartbeat"
"""A role whose calls are only recorded as spans when they have failed or were slow."""
_REPORTS = (_HEARTBEAT, "register", "deregister")
"""What a worker says of itself, to its orchestrator."""
_EVEN_IF_FAILED = (_HEARTBEAT, "handle_failure")
"""Roles that tell of something even when they fail; a failed `assign` has assigned nothing."""
_TASK_IDS = (names.TASK_ID, names.STREAM_ID)
_ERROR = 17
"""Severity number of ERROR."""
_UNREACHED = (Category.NETWORK, Category.TIMEOUT, Category.WORKER_LOST)
_CANCELLED = ("CancelledError", "asyncio.exceptions.CancelledError", "concurrent.futures._base.CancelledError")


class SpanRecord(NamedTuple):
    """What the mapping reads of a span, live or decoded; `kind` as OTLP names it (CLIENT, SERVER and so on)."""

    name: str
    kind: str
    local_root: bool
    failed: bool
    status_description: str | None
    attributes: Mapping[str, Any]
    start_s: float
    end_s: float
    trace: TraceRef | None
    source: str
    service: str


def source_of(resource: Mapping[str, Any]) -> tuple[str, str]:
    """The source and the service that a resource names."""
    service = str(resource.get("service.name", ""))
    for name in _SOURCE:
        value = resource.get(name)
        if value:
            return str(value), service
    return "unknown", service


def span_observations(span: SpanRecord) -> Iterator[Observation]:
    """What one ended span says."""
    attributes = span.attributes
    outcome, category = _outcome(span)
    duration_s = span.end_s - span.start_s
    role = attributes.get(names.OPERATION_NAME)
    system = _first(attributes, _DATABASE)
    if system is not None:
        yield DatabaseOperation(
            span.end_s, span.source, system, outcome, duration_s, category, None, span.trace, span.service
        )
    if span.kind in ("CONSUMER", "SERVER") or role is not None or (span.kind == "INTERNAL" and span.local_root):
        name = str(role) if role is not None else span.name
        task_id = _first(attributes, _TASK_IDS)
        rated = role != _HEARTBEAT
        yield Operation(
            span.end_s, span.source, name, outcome, duration_s, category, span.trace, span.service, task_id, rated
        )
    if span.kind in ("CLIENT", "PRODUCER") and system is None:
        peer = _first(attributes, _PEER)
        if peer == span.source or (peer is None and role in _REPORTS):
            peer = ORCHESTRATOR_PEER  # a worker's own role names the worker itself, if anybody
        if peer is not None:
            ok = outcome is not Outcome.FAILED or category not in _UNREACHED
            yield Link(span.end_s, span.source, peer, ok, duration_s, category, span.trace, span.service)
    make = _ROLES.get(str(role)) if role is not None else None
    if make is not None:
        worker = attributes.get(names.WORKER_ID) or (span.source if span.kind == "CLIENT" and role in _REPORTS else "")
        if worker != "" and (outcome is Outcome.OK or role in _EVEN_IF_FAILED):
            yield make(span, str(worker), outcome)


def _outcome(span: SpanRecord) -> tuple[Outcome, Category | None]:
    error_type = span.attributes.get("error.type") or span.attributes.get("exception.type")
    if error_type in _CANCELLED:
        return Outcome.CANCELLED, None
    if not span.failed and not error_type:
        return Outcome.OK, None
    category = classify_attributes(span.attributes, status_description=span.status_description)
    if category is None:
        return (Outcome.CANCELLED, None) if error_type else (Outcome.FAILED, Category.APPLICATION)
    return Outcome.FAILED, category


def _heartbeat(span: SpanRecord, worker: str, outcome: Outcome) -> Observation:
    observer = worker if span.kind == "CLIENT" else span.source
    return Heartbeat(span.end_s, worker, observer, outcome is Outcome.OK, span.end_s - span.start_s, span.trace)


def _assignment(span: SpanRecord, worker: str, _outcome: Outcome) -> Observation:
    task = str(span.attributes.get(names.TASK_NAME, ""))
    task_id = _first(span.attributes, _TASK_IDS)
    reason = str(span.attributes.get("orchestrator.assignment.reason", "new"))
    return Assignment(span.end_s, worker, span.source, task, task_id, reason, span.trace)


def _membership(change: Change) -> Callable[[SpanRecord, str, Outcome], Observation]:
    def make(span: SpanRecord, worker: str, _outcome: Outcome) -> Observation:
        observer = worker if span.kind == "CLIENT" else span.source
        reason = str(span.attributes.get("orchestrator.failure.reason", ""))
        return Membership(span.end_s, worker, observer, change, reason, span.trace)

    return make


_ROLES: dict[str, Callable[[SpanRecord, str, Outcome], Observation]] = {
    _HEARTBEAT: _heartbeat,
    "assign": _assignment,
    "register": _membership(Change.JOINED),
    "deregister": _membership(Change.LEFT),
    "handle_failure": _membership(Change.LOST),
}


class LogFacts(NamedTuple):
    """What the mapping reads of a log record."""

    at_s: float
    severity_number: int
    event_name: str
    attributes: Mapping[str, Any]
    trace: TraceRef | None
    source: str
    service: str
    text: str = ""
    """The body, where it is a text: it tells what an error means when no attribute does."""


def log_observations(record: LogFacts) -> Iterator[Observation]:
    """What one log record says: a heartbeat event, or an error."""
    event = record.event_name or str(record.attributes.get("event.name", ""))
    if event.startswith("otel_monitor."):
        return
    if event in (names.HEARTBEAT_EVENT, "heartbeat"):
        worker = str(record.attributes.get(names.WORKER_ID) or record.source)
        observer = record.source if worker != record.source else ""
        yield Heartbeat(record.at_s, worker, observer, True, 0.0, record.trace)
        return
    error_type = record.attributes.get("exception.type") or record.attributes.get("error.type")
    if record.severity_number >= _ERROR or error_type:
        category = classify_attributes(record.attributes, status_description=record.text)
        yield ErrorLog(
            record.at_s,
            record.source,
            str(error_type or ""),
            category,
            record.trace,
            record.service,
            record.severity_number,
        )


def _first(attributes: Mapping[str, Any], keys: tuple[str, ...]) -> str | None:
    for key in keys:
        value = attributes.get(key)
        if value is not None and value != "":
            return str(value)
    return None
