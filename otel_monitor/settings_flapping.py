"""When an alert flaps, in settings: `{"high": 20, "low": 5, "interval": 60}`, or `{"enabled": false}`."""

from __future__ import annotations

from typing import Any

import voluptuous as v

from otel_monitor.settings_shapes import fields
from otel_monitor.settings_values import Value, boolean, json_from, number
from otel_monitor_processors.alerts.flapping import FlapPolicy

_DEFAULT = FlapPolicy()
_flapping_fields = fields(
    {"enabled": boolean, "high": number(0, 100), "low": number(0, 100), "interval": number(1)},
)


def _policy(raw: Any) -> FlapPolicy:
    values = _flapping_fields(raw)
    low, high = values.get("low", _DEFAULT.low), values.get("high", _DEFAULT.high)
    if low >= high:
        raise v.Invalid(f"{low:g} is not below high, {high:g}", path=["low"])
    return FlapPolicy(
        enabled=values.get("enabled", True), high=high, low=low, interval_s=values.get("interval", _DEFAULT.interval_s)
    )


FLAPPING = Value("object", _policy, json_from)
