"""Log records as text."""

from __future__ import annotations

import json
from functools import lru_cache

from benchmarks.detection.otlp import fragments
from benchmarks.detection.otlp.text import attributes, nanoseconds
from benchmarks.detection.simulator.failure import Failure
from benchmarks.detection.simulator.trace import Span

INFO, WARN, ERROR = 9, 13, 17

LOGGER = ("app", "")


@lru_cache(maxsize=20_000)
def quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def record(at_s: float, severity: int, text: str, failure: Failure | None, span: Span | None) -> str:
    """A line that a program has logged."""
    at = nanoseconds(at_s)
    name = "ERROR" if severity >= ERROR else "WARN" if severity >= WARN else "INFO"
    attached = fragments.exception(failure) if failure is not None else ""
    trace = f'"{span.trace_id:032x}","spanId":"{span.span_id:016x}"' if span and span.sampled else '"","spanId":""'
    return (
        f'{{"timeUnixNano":{at},"observedTimeUnixNano":{at},"severityNumber":{severity},"severityText":"{name}",'
        f'"body":{{"stringValue":{quoted(text)}}},"attributes":[{attached}],"traceId":{trace}}}'
    )


def heartbeat(at_s: float, worker: str | None) -> str:
    """A heartbeat as an event: of a worker, as its orchestrator has received it; without one, of whoever logs it."""
    at = nanoseconds(at_s)
    name = "heartbeat" if worker is None else "orchestrator.worker.heartbeat"
    fragment = fragments.worker(worker) if worker is not None else attributes(("event.name", name))
    return (
        f'{{"timeUnixNano":{at},"observedTimeUnixNano":{at},"severityNumber":9,"severityText":"INFO",'
        f'"body":{{"stringValue":"heartbeat"}},"attributes":[{fragment}],"traceId":"","spanId":"","eventName":"{name}"}}'
    )
