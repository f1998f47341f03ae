"""Values of OTLP's JSON: times, numbers, ids and attributes, as lenient as the format allows and no more."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from otel_monitor_processors.observation import TraceRef

Object = Mapping[str, Any]

SHAPE = (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError)
"""What a record of another shape than OTLP's raises while it is read."""


_END_NANOS = 2**64


class Malformed(ValueError):  # noqa: N818 - said of a record, not of us
    """The record cannot be used; the text says what is wrong with it, without its values."""


def whole(raw: Any) -> int:
    """A 64-bit integer, which protobuf's JSON writes as a text or a number."""
    if type(raw) is str or type(raw) is int:
        return int(raw)
    raise TypeError


def seconds(raw: Any) -> float:
    """A time in nanoseconds since 1970 as seconds."""
    nanos = whole(raw)
    if not 0 <= nanos < _END_NANOS:
        raise Malformed("time before 1970, or beyond 64 bits")
    return nanos / 1e9


def number(raw: Any) -> float:
    """A floating-point number, which protobuf's JSON writes as a number, or as "NaN" or "Infinity"."""
    if type(raw) is float or type(raw) is int or type(raw) is str:
        value = float(raw)
        if math.isfinite(value):
            return value
        raise Malformed("value that is not a number")
    raise TypeError


def attributes_of(pairs: Iterable[Object] | None) -> dict[str, Any]:
    """Attributes that hold a text, a number or a truth value; lists and maps are passed over."""
    found: dict[str, Any] = {}
    for pair in pairs or ():
        value = pair["value"]
        text = value.get("stringValue")
        if type(text) is str:
            found[pair["key"]] = text
        else:
            for kind, raw in value.items():
                if kind in _SCALARS:
                    found[pair["key"]] = _SCALARS[kind](raw)
    return found


def _text(raw: Any) -> str:
    if type(raw) is str:
        return raw
    raise TypeError


def _truth(raw: Any) -> bool:
    if type(raw) is bool:
        return raw
    raise TypeError


def _float(raw: Any) -> float:
    if type(raw) is float or type(raw) is int or type(raw) is str:
        return float(raw)
    raise TypeError


_SCALARS = {"stringValue": _text, "intValue": whole, "boolValue": _truth, "doubleValue": _float}


def labels_of(pairs: Iterable[Object] | None) -> tuple[tuple[str, str], ...]:
    """Attributes as metric points carry them: sorted names and texts."""
    if not pairs:
        return ()
    return tuple(sorted((str(name), str(value)) for name, value in attributes_of(pairs).items()))


def trace_of(record: Object) -> TraceRef | None:
    """The span that a record names, None where it names none."""
    trace_id, span_id = record.get("traceId"), record.get("spanId")
    if not trace_id or not span_id:
        return None
    try:
        return TraceRef(int(trace_id, 16), int(span_id, 16))
    except (TypeError, ValueError):
        raise Malformed("trace or span id that is not hexadecimal") from None
