"""The alert book: every active alert, and the evaluation of rules that changes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from otel_monitor_processors.alerts.alert import Alert, AlertTransition, State
from otel_monitor_processors.alerts.lifecycle import Sample, advance
from otel_monitor_processors.alerts.rule import Labels, Rule, Severity
from otel_monitor_processors.observation import TraceRef

_MAX_ALERTS = 10_000


class AlertBook:
    """Holds the alert of each rule and label set; at most 10,000 of them, what would be more is counted."""

    def __init__(self) -> None:
        self._active: dict[tuple[str, Labels], Alert] = {}
        self.dropped = 0

    def evaluate(self, rule: Rule, samples: Iterable[Sample], now: float) -> Iterator[AlertTransition]:
        """Hold every series of `rule` against it; a series that has vanished has no data."""
        seen: set[Labels] = set()
        for sample in samples:
            seen.add(sample.labels)
            yield from self.evaluate_one(rule, sample, now)
        vanished = [labels for name, labels in self._active if name == rule.name and labels not in seen]
        for labels in vanished:
            yield from self.evaluate_one(rule, Sample(labels, None), now)

    def evaluate_one(self, rule: Rule, sample: Sample, now: float) -> Iterator[AlertTransition]:
        """Hold one series against `rule`."""
        key = (rule.name, sample.labels)
        before = self._active.get(key)
        step = advance(rule, before, sample, now)
        if step.alert is None:
            if before is not None:
                del self._active[key]
        elif before is None and len(self._active) >= _MAX_ALERTS:
            self.dropped += 1
            return
        else:
            self._active[key] = step.alert
        if step.transition is not None:
            yield step.transition

    def active(self) -> list[Alert]:
        """Every pending and firing alert."""
        return list(self._active.values())

    def of(self, rule: str, labels: Labels) -> Alert | None:
        """The active alert of a rule on a series."""
        return self._active.get((rule, labels))

    def has(self, rule: str) -> bool:
        """Whether any alert of a rule is active."""
        return any(name == rule for name, _ in self._active)

    def __len__(self) -> int:
        return len(self._active)

    def dump(self) -> list[Any]:
        return [[list(map(list, labels)), asdict(alert)] for (_, labels), alert in self._active.items()]

    def load(self, state: list[Any]) -> None:
        for labels, item in state:
            alert = _alert(item)
            self._active[alert.rule, tuple((k, v) for k, v in labels)] = alert


def _alert(item: dict[str, Any]) -> Alert:
    values = dict(item)
    values["labels"] = tuple((k, v) for k, v in item["labels"])
    values["severity"] = Severity(item["severity"])
    values["state"] = State(item["state"])
    values["traces"] = tuple(TraceRef(*trace) for trace in item["traces"])
    return Alert(**values)
