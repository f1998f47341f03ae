"""The life of an alert equals Prometheus' on every recorded case, and has our own additions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from otel_monitor_processors.alerts.alert import Alert, AlertTransition, State
from otel_monitor_processors.alerts.lifecycle import Sample, advance
from otel_monitor_processors.alerts.rule import Comparison, NoData, Rule, Severity

CASES = json.loads((Path(__file__).parent.parent / "data" / "alert-cases.json").read_text())["cases"]
STALE = "stale"


def _expand(notation: str) -> list[float | str | None]:
    """promtool's notation, as far as the cases use it: `a`, `axn` (n more times), `_`, `stale`, `NaN`."""
    values: list[float | str | None] = []
    for word in notation.split():
        match = re.fullmatch(r"(.+?)(?:x(\d+))?", word)
        assert match is not None
        value: float | str | None = {"_": None, "stale": STALE}.get(match[1], match[1])
        if isinstance(value, str) and value != STALE:
            value = float(value)
        values += [value] * (int(match[2] or 0) + (1 if value is not None or match[2] is None else 0))
    return values


def _value_at(
    samples: list[float | str | None], interval: float, now: float, staleness: float
) -> tuple[float | None, float | None]:
    """The value at `now`, and when it was taken."""
    for index in range(min(int(now // interval), len(samples) - 1), -1, -1):
        at = index * interval
        if at <= now - staleness or samples[index] == STALE:
            return None, None
        value = samples[index]
        if isinstance(value, float):
            return value, at
    return None, None


def _states(case: dict[str, Any]) -> Iterator[tuple[float, dict[str, str]]]:
    raw = case["rule"]
    rule = Rule(
        name="case",
        metric_name="m",
        comparison=Comparison(raw["comparison"]),
        threshold=raw["threshold"],
        duration_s=raw["duration"],
        keep_firing_for_s=raw["keep_firing_for"],
        on_no_data=NoData(raw["on_no_data"]),
        staleness_s=raw["staleness"],
    )
    series = {name: _expand(notation) for name, notation in case["series"].items()}
    alerts: dict[str, Alert | None] = dict.fromkeys(series)
    last = max(check["at"] for check in case["checks"])
    step = case["evaluation_interval"]
    for now in range(0, last + step, step):
        for name, samples in series.items():
            value, at = _value_at(samples, case["sample_interval"], now, raw["staleness"])
            alerts[name] = advance(rule, alerts[name], Sample((("series", name),), value, at=at), now).alert
        yield now, {name: str(alert.state) if alert is not None else "inactive" for name, alert in alerts.items()}


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_states_equal_those_of_prometheus(case: dict[str, Any]) -> None:
    seen = dict(_states(case))
    for check in case["checks"]:
        at = max(now for now in seen if now <= check["at"])
        assert seen[at] == check["states"], f"at {check['at']}"


RULE = Rule(name="r", metric_name="m", threshold=10.0, duration_s=60.0, severity=Severity.CRITICAL)


def _run(rule: Rule, values: list[float | None], step: float = 30.0) -> tuple[Alert | None, list[AlertTransition]]:
    alert: Alert | None = None
    transitions: list[AlertTransition] = []
    for index, value in enumerate(values):
        result = advance(rule, alert, Sample((), value, samples=5), index * step)
        alert = result.alert
        if result.transition is not None:
            transitions.append(result.transition)
    return alert, transitions


def test_a_pending_alert_says_how_long_it_has_to_wait() -> None:
    alert, _ = _run(RULE, [11.0, 11.0])
    assert alert is not None
    assert alert.held == "duration 60 s not reached before 1970-01-01T00:01:00Z"


def test_an_alert_fires_once_and_names_the_reason() -> None:
    _, transitions = _run(RULE, [11.0, 11.0, 11.0, 12.0])
    assert [(t.previous, t.alert.state) for t in transitions] == [
        (State.INACTIVE, State.PENDING),
        (State.PENDING, State.FIRING),
    ]
    assert transitions[1].reason == "condition has held for 60 s (duration 60 s)"


def test_hysteresis_keeps_an_alert_firing_until_the_resolve_threshold_is_passed() -> None:
    rule = replace(RULE, duration_s=0.0, resolve_threshold=8.0)
    alert, _ = _run(rule, [11.0, 9.0, 9.0])
    assert alert is not None
    assert alert.state is State.FIRING
    alert, transitions = _run(rule, [11.0, 9.0, 8.0])
    assert alert is None
    assert transitions[-1].alert.state is State.RESOLVED


def test_without_data_an_alert_is_kept_when_the_rule_says_so() -> None:
    alert, _ = _run(replace(RULE, duration_s=0.0, on_no_data=NoData.KEEP), [11.0, None, None])
    assert alert is not None
    assert alert.state is State.FIRING


def test_a_pending_alert_does_not_fire_on_missing_data() -> None:
    alert, _ = _run(replace(RULE, on_no_data=NoData.KEEP), [11.0, None, None, None])
    assert alert is not None
    assert alert.state is State.PENDING


def test_missing_data_fires_when_the_rule_says_so() -> None:
    alert, _ = _run(replace(RULE, on_no_data=NoData.FIRE), [None, None, None])
    assert alert is not None
    assert alert.state is State.FIRING


def test_too_few_samples_raise_nothing() -> None:
    alert, transitions = _run(replace(RULE, min_samples=6, duration_s=0.0), [11.0, 11.0])
    assert alert is None
    assert transitions == []


def test_identity_is_the_rule_and_the_labels_never_value_or_severity() -> None:
    first, _ = _run(RULE, [11.0])
    second, _ = _run(replace(RULE, severity=Severity.INFO, threshold=3.0), [99.0])
    other, _ = _run(replace(RULE, labels=(("team", "a"),)), [11.0])
    assert first is not None
    assert second is not None
    assert other is not None
    assert first.fingerprint == second.fingerprint != other.fingerprint


def test_a_new_episode_has_a_new_id_and_the_same_fingerprint() -> None:
    _, transitions = _run(replace(RULE, duration_s=0.0), [11.0, 1.0, 11.0])
    first, _, second = (t.alert for t in transitions)
    assert first.fingerprint == second.fingerprint
    assert first.id != second.id
