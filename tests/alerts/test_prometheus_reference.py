"""On any series with fresh samples the life of an alert is that of Prometheus, written down here once more."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_monitor_processors.alerts.alert import Alert
from otel_monitor_processors.alerts.lifecycle import Sample, advance
from otel_monitor_processors.alerts.rule import Comparison, NoData, Rule


@dataclass
class Reference:
    """One series' alert as `rules/alerting.go` treats it."""

    duration: float
    keep: float
    active_at: float | None = None
    firing: bool = False
    keep_since: float | None = None

    def evaluate(self, breached: bool, now: float) -> str:
        if breached:
            self.keep_since = None
            self.active_at = now if self.active_at is None else self.active_at
            self.firing = self.firing or now - self.active_at >= self.duration
        elif self.firing and self.keep > 0:
            self.keep_since = now if self.keep_since is None else self.keep_since
            if now - self.keep_since >= self.keep:
                self.active_at, self.firing, self.keep_since = None, False, None
        else:
            self.active_at, self.firing, self.keep_since = None, False, None
        return "inactive" if self.active_at is None else ("firing" if self.firing else "pending")


VALUES = st.lists(st.sampled_from([None, math.nan, -math.inf, 9.0, 10.0, 11.0, math.inf]), min_size=1, max_size=60)


@settings(max_examples=400, deadline=None)
@given(
    VALUES,
    st.sampled_from([0.0, 10.0, 15.0, 40.0, 60.0]),
    st.sampled_from([0.0, 10.0, 15.0, 45.0]),
    st.sampled_from([comparison for comparison in Comparison if comparison is not Comparison.UNEQUAL]),
)
def test_states_are_those_of_the_reference(
    values: list[float | None], duration: float, keep: float, comparison: Comparison
) -> None:
    rule = Rule(
        name="r",
        metric_name="m",
        threshold=10.0,
        comparison=comparison,
        duration_s=duration,
        keep_firing_for_s=keep,
        on_no_data=NoData.RESOLVE,
    )
    reference = Reference(duration, keep)
    alert: Alert | None = None
    for index, value in enumerate(values):
        now = 15.0 * index
        alert = advance(rule, alert, Sample((), value, at=now), now).alert
        breached = value is not None and not math.isnan(value) and comparison.holds(value, 10.0)
        assert ("inactive" if alert is None else str(alert.state)) == reference.evaluate(breached, now)


@pytest.mark.parametrize(
    ("values", "states"),
    [
        ([75, 85, 95, 105, 105, 95, 85], ["pending", "firing", "firing", "inactive", "inactive", "pending", "firing"]),
        ([80, 90, 100, 110, 120, 130, 140], ["pending", "firing", *["inactive"] * 5]),
    ],
)
def test_the_series_of_prometheus_own_test_of_alerting_rules(values: list[float], states: list[str]) -> None:
    rule = Rule(name="r", metric_name="m", threshold=100.0, comparison=Comparison.BELOW, duration_s=60.0)
    alert: Alert | None = None
    seen = []
    for index, value in enumerate(values):
        alert = advance(rule, alert, Sample((), float(value), at=300.0 * index), 300.0 * index).alert
        seen.append("inactive" if alert is None else str(alert.state))
    assert seen == states
