"""Requests of OTLP's collector services as the JSON that a Collector's file exporter would write of them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

_IDS = ("traceId", "spanId", "parentSpanId")
_RECORDS = {"resourceSpans": ("scopeSpans", "spans"), "resourceLogs": ("scopeLogs", "logRecords")}


def document_of(request: Message) -> dict[str, Any]:
    """One request as a line's object. Ids, which protobuf writes in base64, are hexadecimal in OTLP's JSON."""
    document: dict[str, Any] = MessageToDict(request, use_integers_for_enums=True)
    for record in _records(document):
        for name in _IDS:
            if name in record:
                record[name] = binascii.hexlify(base64.b64decode(record[name])).decode()
    return document


def _records(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for group, (scopes, records) in _RECORDS.items():
        for resource in document.get(group, ()):
            for scope in resource.get(scopes, ()):
                yield from scope.get(records, ())
