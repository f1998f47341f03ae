"""A line of OTLP JSON as records: what the engine is to see, each with its time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from otel_monitor.replay import logs, metrics, spans
from otel_monitor.replay.ledger import Ledger, Origin, Signal
from otel_monitor.replay.metrics import Export, Refusal
from otel_monitor.replay.values import SHAPE, Malformed, Object, attributes_of
from otel_monitor_processors.observation import Observation
from otel_monitor_processors.otel.mapping import log_observations, source_of, span_observations

Said = Observation | Export
"""What a record says: observations, or metrics, which only become that in the order of their time."""


class Record(NamedTuple):
    """A span, a log record, or the metric points of one resource: `weight` of them."""

    at_s: float
    signal: Signal
    weight: int
    said: tuple[Said, ...]


class Batch(NamedTuple):
    """The records of one line, by their time; lines that are the same have the same digest."""

    origin: Origin
    records: list[Record]
    digest: int = 0


class Decoder:
    """Reads lines. What cannot be used is counted, and the rest read."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._signals: dict[str, tuple[str, str, _Read]] = {
            "resourceSpans": ("scopeSpans", "spans", self._spans),
            "resourceMetrics": ("scopeMetrics", "metrics", self._metrics),
            "resourceLogs": ("scopeLogs", "logRecords", self._logs),
        }

    def batch(self, origin: Origin, line: bytes) -> Batch:
        """The records of one line."""
        try:
            document = json.loads(line)
        except (ValueError, RecursionError) as error:
            self._ledger.refuse("line that is not JSON", origin, detail=f" ({error})")
            return Batch(origin, [])
        return self.decoded(origin, document)._replace(digest=hash(line))

    def decoded(self, origin: Origin, document: Any) -> Batch:
        """The records of one line, or of one request, that has been read from JSON already."""
        records: list[Record] = []
        if type(document) is not dict or (document and not document.keys() & self._signals.keys()):
            self._ledger.refuse("line without resourceSpans, resourceMetrics or resourceLogs", origin)
            return Batch(origin, records)
        self._note_unknown(document, _LINE_FIELDS, origin)
        for key, names in self._signals.items():
            if key in document:
                self._signal(document[key], names, origin, records)
        records.sort(key=_time)
        return Batch(origin, records)

    def _signal(self, groups: Any, names: tuple[str, str, _Read], origin: Origin, records: list[Record]) -> None:
        scopes, items, read = names
        try:
            for group in groups or ():
                source, service = source_of(attributes_of((group.get("resource") or {}).get("attributes")))
                found = [item for scope in group.get(scopes) or () for item in scope.get(items) or ()]
                read(found, source, service, origin, records)
        except SHAPE:
            self._ledger.refuse("resource of another shape than OTLP's", origin)

    def _spans(self, found: Iterable[Object], source: str, service: str, origin: Origin, records: list[Record]) -> None:
        for item in found:
            try:
                span = spans.span_of(item, source, service)
                records.append(Record(span.end_s, Signal.SPAN, 1, tuple(span_observations(span))))
            except Malformed as error:
                self._ledger.refuse(str(error), origin)
            except SHAPE:
                self._ledger.refuse("span of another shape than OTLP's", origin)
            else:
                self._note_unknown(item, spans.FIELDS, origin)

    def _logs(self, found: Iterable[Object], source: str, service: str, origin: Origin, records: list[Record]) -> None:
        for item in found:
            try:
                log = logs.log_of(item, source, service)
                records.append(Record(log.at_s, Signal.LOG, 1, tuple(log_observations(log))))
            except Malformed as error:
                self._ledger.refuse(str(error), origin)
            except SHAPE:
                self._ledger.refuse("log record of another shape than OTLP's", origin)
            else:
                self._note_unknown(item, logs.FIELDS, origin)

    def _metrics(
        self, found: Iterable[Object], source: str, service: str, origin: Origin, records: list[Record]
    ) -> None:
        good = []
        for item in found:
            try:
                for part in metrics.metric_of(item):
                    if isinstance(part, Refusal):
                        self._ledger.refuse(part.why, origin)
                    else:
                        good.append(part)
            except SHAPE:
                self._ledger.refuse("metric of another shape than OTLP's", origin)
            else:
                self._note_unknown(item, metrics.FIELDS, origin)
        for export in metrics.exports_of(good, source, service, origin):
            weight = sum(len(metric.points) for metric in export.metrics)
            records.append(Record(export.at_s, Signal.METRIC, weight, (export,)))

    def _note_unknown(self, item: Object, known: frozenset[str], origin: Origin) -> None:
        if not item.keys() <= known:
            self._ledger.unknown(set(item.keys() - known), origin)


_Read = Callable[[Iterable[Object], str, str, Origin, list[Record]], None]
_LINE_FIELDS = frozenset(("resourceSpans", "resourceMetrics", "resourceLogs", "resourceProfiles"))


def _time(record: Record) -> float:
    return record.at_s
