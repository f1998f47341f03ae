"""Quantiles of histograms are those of their buckets, over every export of a rule's window."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_monitor_processors.alerts.rule import Rule
from otel_monitor_processors.distribution import Distribution, explicit, exponential, greatest, quantile
from otel_monitor_processors.measures import Measures
from otel_monitor_processors.observation import MetricPoint
from otel_monitor_processors.observation_codec import dump_observation, load_observation

NAN = math.nan
FOUR = Distribution((1.0, 2.0, 4.0), (10, 20, 10, 0))


@pytest.mark.parametrize(
    ("share", "value"), [(0.0, 0.0), (0.25, 1.0), (0.5, 1.5), (0.75, 2.0), (0.875, 3.0), (1.0, 4.0)]
)
def test_within_a_bucket_values_are_taken_to_be_evenly_spread(share: float, value: float) -> None:
    assert quantile([FOUR], share) == pytest.approx(value)


def test_of_an_open_bucket_only_its_beginning_is_known() -> None:
    assert quantile([Distribution((1.0, 2.0), (1, 1, 8))], 0.9) == 2.0
    assert greatest([Distribution((1.0, 2.0), (1, 1, 8))]) == 2.0


def test_the_least_and_the_greatest_value_bound_the_buckets() -> None:
    told = explicit((1.0, 5.0), (0, 100, 0), 3.0, 4.0)
    assert told is not None
    assert quantile([told], 0.5) == pytest.approx(3.5)
    assert greatest([told]) == 4.0
    open_ended = explicit((1.0,), (0, 4), 2.0, 6.0)
    assert open_ended is not None
    assert quantile([open_ended], 1.0) == 6.0


def test_several_distributions_count_together_whatever_their_boundaries() -> None:
    other = Distribution((4.0, 8.0), (0, 40, 0))
    assert quantile([FOUR, other], 0.5) == pytest.approx(4.0)
    assert quantile([FOUR, other], 0.75) == pytest.approx(6.0)
    assert (quantile([], 0.5), greatest([])) == (None, None)


def test_an_exponential_histogram_has_growing_buckets_and_those_around_zero() -> None:
    told = exponential(0, 3, 1, (5, 2), NAN, NAN)
    assert told == Distribution((2.0, 4.0, 8.0), (3, 5, 2, 0))
    assert exponential(-10, 0, 3, (1,), NAN, NAN) is None  # beyond every number


def test_what_has_been_added_is_the_difference_of_two_totals() -> None:
    later = Distribution((1.0, 2.0, 4.0), (11, 20, 15, 2))
    assert later.less(FOUR) == Distribution((1.0, 2.0, 4.0), (1, 0, 5, 2))
    wider = Distribution((0.5, 1.0, 2.0), (0, 3, 1, 0))
    assert Distribution((1.0, 2.0), (0, 4, 0)).less(Distribution((1.0, 2.0, 3.0), (0, 1, 0, 0))) == Distribution(
        (1.0, 2.0), (0, 3, 0)
    )
    assert (FOUR.less(later), FOUR.less(wider), FOUR.less(None)) == (None, None, None)


VALUES = st.lists(st.floats(0.0, 100.0), min_size=1, max_size=50)


@given(VALUES, VALUES, st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_a_quantile_lies_in_the_bucket_of_the_true_one(early: list[float], late: list[float], share: float) -> None:
    bounds = (1.0, 5.0, 10.0, 25.0, 50.0)
    before, total = _counted(bounds, early), _counted(bounds, early + late)
    added = total.less(before)
    assert added is not None
    found = quantile([added], share)
    true = sorted(late)[max(0, math.ceil(share * len(late) - 1e-9) - 1)]
    assert found is not None
    edges = (0.0, *bounds, math.inf)
    index = next(index for index, bound in enumerate((*bounds, math.inf)) if true <= bound)
    assert edges[index] - 1e-9 <= found <= min(edges[index + 1], bounds[-1]) + 1e-9


def _counted(bounds: tuple[float, ...], values: list[float]) -> Distribution:
    edges = (-math.inf, *bounds, math.inf)
    return Distribution(
        bounds, tuple(sum(low < value <= high for value in values) for low, high in itertools.pairwise(edges))
    )


# -- in rules -------------------------------------------------------------------------------------------


def value(aggregation: str | None, *points: MetricPoint, **fields: Any) -> float | None:
    rule = Rule(name="r", metric_name="m", aggregation=aggregation, threshold=-1.0, window_s=60.0, **fields)
    measures = Measures([rule])
    for point in points:
        measures.interests()[MetricPoint](point)
    (sample,) = measures.samples(rule, 50.0)
    return sample.value


def histogram(at: float, mean: float, events: int, spread: Distribution | None = None) -> MetricPoint:
    return MetricPoint(at, "w1", "m", (), mean, "s", "shop", events, spread)


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [("last", 5.0), (None, 5.0), ("mean", 2.0), ("max", 4.0), ("p50", 1.0), ("rate", 40 / 60)],
)
def test_a_rule_on_a_histogram_sees_every_value_of_its_window(aggregation: str | None, expected: float) -> None:
    fast = histogram(20.0, 1.0, 30, Distribution((1.0, 4.0), (30, 0, 0), 1.0, 1.0))
    slow = histogram(40.0, 5.0, 10, Distribution((1.0, 4.0), (0, 10, 0)))
    assert value(aggregation, fast, slow) == pytest.approx(expected)


def test_of_a_histogram_without_buckets_its_mean_is_known() -> None:
    points = (histogram(20.0, 1.0, 9), histogram(40.0, 8.0, 1))
    assert [value(aggregation, *points) for aggregation in ("p50", "p95", "max", "mean")] == [1.0, 8.0, 8.0, 1.7]


def test_the_samples_of_a_histogram_are_its_values() -> None:
    rule = Rule(name="r", metric_name="m", aggregation="p95", threshold=0.0, min_samples=10)
    measures = Measures([rule])
    measures.interests()[MetricPoint](histogram(40.0, 1.0, 12))
    (sample,) = measures.samples(rule, 50.0)
    assert sample.samples == 12


def test_a_saved_state_keeps_distributions() -> None:
    rule = Rule(name="r", metric_name="m", aggregation="p95", threshold=0.0)
    measures, again = Measures([rule]), Measures([rule])
    point = histogram(40.0, 1.0, 40, explicit((1.0, 2.0), (10, 20, 10), NAN, NAN))
    measures.interests()[MetricPoint](point)
    again.load(json.loads(json.dumps(measures.dump())))
    assert [s.value for s in again.samples(rule, 50.0)] == [s.value for s in measures.samples(rule, 50.0)] == [2.0]
    assert load_observation(json.loads(json.dumps(dump_observation(point)))) == point
