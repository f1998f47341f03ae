"""Rules see the series that violate them and those that they have alerts on, found without looking at all others."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_monitor_processors.alerts.lifecycle import Sample
from otel_monitor_processors.alerts.rule import Comparison, Labels, NoData, Rule
from otel_monitor_processors.engine import Engine
from otel_monitor_processors.measures import Measures
from otel_monitor_processors.observation import Heartbeat, Level, MetricPoint, Operation, Outcome, RulePoint

START = 1_700_000_000.0


def rule(metric: str = "m", threshold: float = 10.0, comparison: Comparison = Comparison.ABOVE, **more: object) -> Rule:
    return Rule(name="r", metric_name=metric, threshold=threshold, comparison=comparison, **more)  # type: ignore[arg-type]  # whatever a test asks for


def point(source: str, value: float, at: float = 0.0, **attributes: str) -> MetricPoint:
    return MetricPoint(START + at, source, "m", tuple(sorted(attributes.items())), value)


def taken(wanted: Rule, *observations: object) -> Measures:
    measures = Measures([wanted])
    for observation in observations:
        measures.interests()[type(observation)](observation)
    return measures


def values(samples: Iterator[Sample]) -> dict[str, float | None]:
    return {dict(sample.labels).get("instance", ""): sample.value for sample in samples}


def instance(name: str) -> Labels:
    return (("instance", name),)


@pytest.mark.parametrize(
    ("comparison", "expected"),
    [
        (Comparison.ABOVE, {"c"}),
        (Comparison.AT_LEAST, {"b", "c"}),
        (Comparison.BELOW, {"a"}),
        (Comparison.AT_MOST, {"a", "b"}),
        (Comparison.EQUAL, {"b"}),
        (Comparison.UNEQUAL, {"a", "c"}),
    ],
)
def test_only_what_violates_a_rule_is_looked_at(comparison: Comparison, expected: set[str]) -> None:
    wanted = rule(comparison=comparison)
    measures = taken(wanted, point("a", 9.0), point("b", 10.0), point("c", 11.0))
    assert values(measures.samples(wanted, START)).keys() == expected


def test_what_has_an_alert_is_looked_at_whatever_its_value() -> None:
    wanted = rule()
    measures = taken(wanted, point("a", 9.0), point("b", 8.0))
    assert values(measures.samples(wanted, START, [instance("a"), instance("gone")])) == {"a": 9.0}


def test_the_same_holds_for_levels_and_ages() -> None:
    cpu, age = rule("cpu_usage", 85.0), rule("heartbeat_age", 60.0)
    measures = Measures([cpu, age])
    for source, value in (("a", 0.2), ("b", 0.9)):
        measures.interests()[Level](Level(START, source, "cpu", value, 1.0))
        measures.interests()[Heartbeat](Heartbeat(START, source, "orchestrator"))
    assert values(measures.samples(cpu, START)) == {"b": 90.0}
    assert values(measures.samples(cpu, START, [instance("a")])) == {"a": 20.0, "b": 90.0}
    assert list(measures.samples(age, START + 5.0)) == []
    (sample,) = measures.samples(age, START + 5.0, [(("worker", "a"),)])
    assert (sample.labels, sample.value) == ((("worker", "a"),), 5.0)


def test_a_value_is_gone_when_it_is_stale_and_that_is_told_where_the_rule_asks_for_it() -> None:
    wanted = rule(staleness_s=30.0, on_no_data=NoData.FIRE)
    measures = taken(wanted, point("a", 11.0))
    assert values(measures.samples(wanted, START + 29.0)) == {"a": 11.0}
    assert values(measures.samples(wanted, START + 30.0)) == {"a": None}
    quiet = rule(staleness_s=30.0)
    assert values(measures.samples(quiet, START + 30.0)) == {}
    assert values(measures.samples(quiet, START + 30.0, [instance("a")])) == {"a": None}


def test_nan_is_no_data_and_does_not_spoil_a_window() -> None:
    last, mean = rule(comparison=Comparison.UNEQUAL), rule(aggregation="mean")
    measures = Measures([last, mean])
    for at, value in ((0.0, 20.0), (1.0, 40.0), (2.0, math.nan)):
        measures.interests()[MetricPoint](point("a", value, at))
    assert values(measures.samples(last, START + 2.0)) == {}
    assert values(measures.samples(mean, START + 2.0)) == {"a": 30.0}


def test_a_point_that_is_no_newer_than_the_last_is_counted_not_used() -> None:
    wanted = rule()
    measures = taken(wanted, point("a", 11.0, 10.0), point("a", 1.0, 10.0), point("a", 1.0, 5.0))
    assert values(measures.samples(wanted, START + 10.0)) == {"a": 11.0}
    assert measures.late == 2


def test_a_sample_says_when_it_was_taken_unless_it_is_of_a_window() -> None:
    last, mean = rule(), rule(aggregation="mean")
    measures = Measures([last, mean])
    measures.interests()[MetricPoint](point("a", 11.0, 7.0))
    (newest,), (window,) = list(measures.samples(last, START + 9.0)), list(measures.samples(mean, START + 9.0))
    assert (newest.at, window.at) == (START + 7.0, None)


@pytest.mark.parametrize(("interval", "stale_after"), [(10.0, 30.0), (60.0, 180.0)])
def test_without_a_staleness_a_series_has_no_data_after_three_of_its_intervals(
    interval: float, stale_after: float
) -> None:
    wanted = rule()
    outage = [point("a", 11.0, at) for at in (0.0, 1_000.0)]
    series = [point("a", 11.0, 1_000.0 + interval * number) for number in range(1, 4)]
    measures, last = taken(wanted, *outage, *series), START + 1_000.0 + 3 * interval
    assert values(measures.samples(wanted, last + stale_after - 0.1)) == {"a": 11.0}
    assert values(measures.samples(wanted, last + stale_after)) == {}


def test_of_a_single_point_the_interval_is_not_known() -> None:
    measures = taken(rule(), point("a", 11.0))
    assert values(measures.samples(rule(), START + 299.0)) == {"a": 11.0}
    assert values(measures.samples(rule(), START + 300.0)) == {}


@pytest.mark.parametrize(("aggregation", "percent"), [("mean", 60.0), ("max", 90.0), (None, 30.0)])
def test_resources_are_aggregated_like_any_metric(aggregation: str | None, percent: float) -> None:
    wanted = rule("cpu_usage", 1.0, aggregation=aggregation)
    levels = [Level(START + at, "a", "cpu", used, 1.0) for at, used in ((0.0, 0.9), (10.0, 0.5), (20.0, 0.3))]
    measures = taken(wanted, *levels, levels[-1]._replace(value=0.4), levels[-1])
    found = values(measures.samples(wanted, START + 20.0))["a"]
    assert found == pytest.approx(170.0 / 3 if aggregation == "mean" else percent)
    assert measures.late == 0


def test_a_window_sees_all_of_its_points_and_no_more_are_kept() -> None:
    wanted = rule(aggregation="rate", threshold=0.0, window_s=900.0)
    measures = taken(wanted, *[point("a", 2.0, float(at)) for at in range(1, 1_001)])
    assert values(measures.samples(wanted, START + 1_000.0)) == {"a": 2.0}
    assert len(measures.dump()["points"][0][2]) == 900
    assert measures.dropped == 0


def test_points_that_a_window_has_no_room_for_are_counted() -> None:
    wanted = rule(aggregation="rate", threshold=0.0, window_s=2_000.0)
    assert taken(wanted, *[point("a", 2.0, float(at)) for at in range(1_010)]).dropped == 10


def test_points_for_rules_alone_count_like_others() -> None:
    measures = taken(rule(), RulePoint(*point("a", 11.0)))
    assert values(measures.samples(rule(), START)) == {"a": 11.0}


def test_min_samples_counts_the_points_of_the_window_whatever_the_aggregation() -> None:
    wanted = rule(min_samples=3)
    (sample,) = taken(wanted, *[point("a", 11.0, at) for at in (0.0, 50.0, 70.0)]).samples(wanted, START + 80.0)
    assert sample.samples == 2


def test_what_is_said_of_a_value_is_worked_out_when_it_is_asked_for() -> None:
    wanted = rule(description="Deep")
    (sample,) = taken(wanted, point("w1", 11.5)).samples(wanted, START)
    assert sample.summary == ""
    assert sample.told() == ("Deep: m of w1 is 11.5 (> 10)", ())


def test_a_rules_attributes_select_series() -> None:
    wanted = rule(attributes=(("queue", "x"),))
    measures = taken(wanted, point("a", 11.0, queue="x"), point("b", 11.0, queue="y"))
    assert values(measures.samples(wanted, START)) == {"a": 11.0}


def test_of_durations_only_those_that_may_violate_are_put_together() -> None:
    wanted = rule("response_time", 1_000.0, aggregation="p50")
    calls = [Operation(START, "slow", "op", Outcome.OK, 2.0) for _ in range(5)]
    calls += [Operation(START, "fast", "op", Outcome.OK, 0.1) for _ in range(99)]
    calls += [Operation(START, "fast", "op", Outcome.OK, 5.0)]
    measures = taken(wanted, *calls)
    found = values(measures.samples(wanted, START))
    assert found.keys() == {"slow"}
    assert found["slow"] == pytest.approx(2_000.0, rel=0.03)


def test_rules_of_one_metric_with_other_comparisons_do_not_disturb_each_other() -> None:
    high = rule("response_time", 10_000.0, on_no_data=NoData.FIRE)
    low = rule("response_time", 1_000.0, Comparison.BELOW)
    measures = Measures([high, low])
    for duration_s in (*[0.1] * 99, 2.0):
        measures.interests()[Operation](Operation(START, "w1", "op", Outcome.OK, duration_s))
    assert values(measures.samples(high, START)) == {}
    assert values(measures.samples(low, START)) == {"w1": pytest.approx(100.0, rel=0.03)}
    assert values(measures.samples(high, START + 70.0)) == {"w1": None}


def test_series_that_are_silent_for_long_are_forgotten() -> None:
    wanted = rule(staleness_s=30.0, window_s=60.0)
    measures = taken(wanted, point("a", 11.0))
    measures.forget_idle(START + 119.0)
    assert measures.live
    measures.forget_idle(START + 121.0)
    assert not measures.live


def test_what_was_worked_out_is_out_of_date_when_something_is_observed() -> None:
    wanted = rule()
    measures = taken(wanted, point("a", 11.0))
    assert values(measures.samples(wanted, START + 1.0)) == {"a": 11.0}
    measures.interests()[MetricPoint](point("a", 12.0, 0.5))
    assert values(measures.samples(wanted, START + 1.0)) == {"a": 12.0}


def test_a_state_is_taken_up_as_it_was() -> None:
    wanted = rule()
    measures, other = taken(wanted, point("a", 11.0), point("b", 12.0, queue="x")), Measures([wanted])
    other.load(measures.dump())
    assert values(other.samples(wanted, START)) == values(measures.samples(wanted, START)) == {"a": 11.0, "b": 12.0}


NUMBERS = st.one_of(st.integers(-3, 3).map(float), st.sampled_from([math.inf, -math.inf, math.nan]))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(NUMBERS, max_size=12),
    NUMBERS.filter(lambda value: not math.isnan(value)),
    st.sampled_from(list(Comparison)),
    st.sets(st.integers(0, 11)),
)
def test_what_is_found_is_what_looking_at_every_series_finds(
    numbers: list[float], threshold: float, comparison: Comparison, active: set[int]
) -> None:
    wanted = rule(threshold=threshold, comparison=comparison)
    measures = taken(wanted, *(point(str(index), value) for index, value in enumerate(numbers)))
    found = values(measures.samples(wanted, START, [instance(str(index)) for index in active]))
    expected = {
        str(index): value
        for index, value in enumerate(numbers)
        if (not math.isnan(value) and comparison.holds(value, threshold)) or index in active
    }
    assert found.keys() == expected.keys()
    assert all(found[name] == value for name, value in expected.items() if not math.isnan(value))


def test_a_thousand_rules_over_a_thousand_series_take_less_than_a_second() -> None:
    rules = [Rule(name=f"r{index}", metric_name="m", threshold=985.0 + index / 100.0) for index in range(1_000)]
    engine = Engine(rules, [])
    engine.observe([point(f"w{index}", float(index)) for index in range(1_000)])
    before = time.process_time()
    assert len(engine.advance(START + 1.5)) == sum(999 - math.floor(each.threshold) for each in rules)
    assert time.process_time() - before < 1.0
