"""Inhibition: an alert that explains others holds them back while it fires."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from otel_monitor_processors.alerts.alert import Alert, State
from otel_monitor_processors.alerts.held import Held
from otel_monitor_processors.alerts.matcher import Matcher, Matchers, Operator, all_match

ALL_LABELS = "*"
"""In `equal`: every label of the alerts' own, but not `rule` and `severity`."""
_PLACES = ("instance", "worker")
"""The labels that say which source an alert is about."""
_Key = tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inhibition:
    """A firing alert that matches `source` holds back those that match `target` and agree in the labels `equal`.

    With `same_source` it holds back only what is about an instance that it concerns itself: one of its
    `evidence["sources"]`, or the one in its labels. An alert that is both source and target is not held back by
    such another, nor by itself. What is held back may still hold back others.
    """

    name: str
    source: Matchers
    target: Matchers
    equal: tuple[str, ...] = ()
    same_source: bool = False


@dataclass(slots=True)
class _Source:
    alert: Alert
    concerns: frozenset[str]
    is_target: bool


class _Rule:
    """One inhibition with the firing alerts that are its sources, by what has to be equal."""

    def __init__(self, inhibition: Inhibition) -> None:
        self.inhibition = inhibition
        self._sources: dict[_Key, dict[str, _Source]] = {}
        self._keys: dict[str, _Key] = {}

    def remove(self, fingerprint: str) -> None:
        key = self._keys.pop(fingerprint, None)
        if key is None:
            return
        del self._sources[key][fingerprint]
        if not self._sources[key]:
            del self._sources[key]

    def add(self, alert: Alert, labels: Mapping[str, str]) -> None:
        if not all_match(self.inhibition.source, labels):
            return
        key = self._key(alert, labels)
        is_target = all_match(self.inhibition.target, labels)
        self._keys[alert.fingerprint] = key
        self._sources.setdefault(key, {})[alert.fingerprint] = _Source(alert, _concerns(alert), is_target)

    def source_of(self, alert: Alert, labels: Mapping[str, str]) -> Alert | None:
        if not self._sources or not all_match(self.inhibition.target, labels):
            return None
        sources = self._sources.get(self._key(alert, labels), {})
        is_source = alert.fingerprint in self._keys
        for fingerprint, source in sources.items():
            if fingerprint == alert.fingerprint or (is_source and source.is_target):
                continue
            if not self.inhibition.same_source or any(labels.get(name) in source.concerns for name in _PLACES):
                return source.alert
        return None

    def _key(self, alert: Alert, labels: Mapping[str, str]) -> _Key:
        equal = self.inhibition.equal
        return tuple(alert.labels if name == ALL_LABELS else labels.get(name, "") for name in equal)


class Inhibitor:
    """Knows which firing alerts hold back which."""

    def __init__(self, inhibitions: Iterable[Inhibition]) -> None:
        self._rules = [_Rule(inhibition) for inhibition in inhibitions]

    def note(self, alert: Alert, labels: Mapping[str, str]) -> None:
        """An alert is as it is now."""
        for rule in self._rules:
            rule.remove(alert.fingerprint)
            if alert.state is State.FIRING:
                rule.add(alert, labels)

    def holding(self, alert: Alert, labels: Mapping[str, str]) -> Held | None:
        """What holds an alert back: the first source of the first inhibition."""
        for rule in self._rules:
            source = rule.source_of(alert, labels)
            if source is not None:
                about = "".join(f" {name}={value}" for name, value in source.labels)
                return Held(f"inhibited by {source.rule}{about} ({rule.inhibition.name})")
        return None


def _concerns(alert: Alert) -> frozenset[str]:
    sources = alert.evidence.get("sources", ())
    named = [value for name, value in alert.labels if name in _PLACES]
    return frozenset([*map(str, sources), *named])


def _is(name: str, *values: str) -> Matcher:
    if len(values) == 1:
        return Matcher(name, Operator.EQUAL, values[0])
    return Matcher(name, Operator.MATCH, "|".join(values))


def _explains(pattern: str, *targets: Matcher, same_source: bool = False, what: str = "explains") -> Inhibition:
    name = f"{pattern} {what} it"
    return Inhibition(name=name, source=(_is("pattern", pattern),), target=targets, same_source=same_source)


DEFAULT_INHIBITIONS: tuple[Inhibition, ...] = (
    Inhibition(
        name="the same, and worse, is told already",
        source=(_is("severity", "critical", "emergency"), _is("pattern", "")),
        target=(_is("severity", "info", "warning"), _is("pattern", "")),
        equal=(ALL_LABELS, "metric"),
    ),
    Inhibition(
        name="an emergency is told already",
        source=(_is("severity", "emergency"), _is("pattern", "")),
        target=(_is("severity", "critical"), _is("pattern", "")),
        equal=(ALL_LABELS, "metric"),
    ),
    _explains("database_contention", _is("pattern", "heartbeat_degradation", "cascading_failures")),
    _explains("database_contention", _is("metric", "heartbeat_age", "response_time", "error_rate", "throughput")),
    _explains("network_partition", _is("pattern", "heartbeat_degradation")),
    _explains("network_partition", _is("metric", "heartbeat_age", "response_time", "error_rate"), same_source=True),
    _explains(
        "resource_exhaustion",
        _is(
            "metric",
            *("cpu_usage", "memory_usage", "disk_usage", "file_descriptor_usage"),
            *("response_time", "error_rate", "throughput"),
        ),
        same_source=True,
    ),
    Inhibition(
        name="worker_lost says it already",
        source=(_is("rule", "worker_lost"),),
        target=(_is("metric", "heartbeat_age"),),
        same_source=True,
    ),
    Inhibition(
        name="worker_lost says it already",
        source=(_is("rule", "worker_lost"),),
        target=(_is("rule", "heartbeat_degradation"),),
        same_source=False,
    ),
    _explains("cascading_failures", _is("metric", "error_rate", "response_time"), same_source=True),
    _explains("heartbeat_degradation", _is("metric", "heartbeat_age"), same_source=True),
)
"""A pattern's alert holds back the symptoms that it explains, and critical holds back warning."""
