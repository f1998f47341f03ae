"""An alert's labels and annotations as Prometheus allows them."""

from __future__ import annotations

import re

from otel_monitor.channels.text import encodable, facts, shortened
from otel_monitor_processors.alerts.alert import Alert

LabelSet = tuple[tuple[str, str], ...]

_INVALID = re.compile(r"[^a-zA-Z0-9_]")
_OWN = ("alertname", "severity")
_MAX_NAME = 200
_MAX_VALUE = 1000
_MAX_LABELS = 60


def label_set(alert: Alert) -> LabelSet:
    """Valid labels: what a name may not have becomes `_`; a label without a value is none.

    A label that the user calls `alertname` or `severity` is `exported_…`, as in Prometheus. Two names that
    become the same one are told apart by a number, in the order of the original names.
    """
    labels = {"alertname": shortened(encodable(alert.rule), _MAX_VALUE), "severity": str(alert.severity)}
    for name, value in sorted(alert.labels)[:_MAX_LABELS]:
        if value:
            labels[_free(_valid(name), labels)] = shortened(encodable(value), _MAX_VALUE)
    return tuple(sorted(labels.items()))


def annotations_of(alert: Alert) -> dict[str, str]:
    """What the alert says about why it is there; never part of its identity."""
    return {name: value for name, value in facts(alert) if name not in ("labels", "since", "resolved") and value}


def _valid(name: str) -> str:
    if name in _OWN:
        return f"exported_{name}"
    valid = _INVALID.sub("_", name)[:_MAX_NAME]
    return f"_{valid}" if not valid or valid[0].isdigit() else valid


def _free(name: str, taken: dict[str, str]) -> str:
    number = 2
    free = name
    while free in taken:
        free = f"{name}_{number}"
        number += 1
    return free
