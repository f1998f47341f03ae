"""Seeds for fitting, tuning and reporting have nothing in common, and neither have all mechanisms."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import pytest

from benchmarks.detection.scenarios.background import backgrounds_of
from benchmarks.detection.scenarios.mechanism import PATTERNS, mechanisms_of
from benchmarks.detection.scenarios.plan import plan
from benchmarks.detection.scenarios.split import Split, number_of


def test_no_seed_belongs_to_two_splits() -> None:
    for one, other in combinations(Split, 2):
        assert one.seeds[-1] < other.seeds[0] or other.seeds[-1] < one.seeds[0]
    for split in Split:
        assert {Split.of(split.seeds[0]), Split.of(split.seeds[-1])} == {split}
        assert set(split.failing(50)).isdisjoint(split.healthy(50))
        assert all(number_of(seed)[1] for seed in split.failing(5))
        assert not any(number_of(seed)[1] for seed in split.healthy(5))


def test_a_seed_of_no_split_is_refused() -> None:
    for seed in (0, -1, Split.REPORT.seeds[-1] + 1):
        with pytest.raises(ValueError, match="belongs to no split"):
            plan(seed)


def test_fitting_sees_fewer_mechanisms_than_tuning_and_tuning_fewer_than_reporting() -> None:
    for pattern in PATTERNS:
        names = [{item.name for item in mechanisms_of(pattern, split)} for split in Split]
        assert names[0] < names[1] < names[2]
    assert len(backgrounds_of(Split.FIT)) < len(backgrounds_of(Split.REPORT))


def test_patterns_mechanisms_and_loads_take_turns() -> None:
    plans = [plan(seed) for seed in Split.REPORT.failing(246)]
    patterns = Counter(item.mechanisms[0].pattern for item in plans)
    assert set(patterns.values()) == {41}
    mechanisms = Counter(item.mechanisms[0].name for item in plans)
    assert min(mechanisms.values()) >= 5
    assert set(mechanisms) == {item.name for pattern in PATTERNS for item in mechanisms_of(pattern, Split.REPORT)}
    loads = Counter(item.shape.load for item in plans)
    assert set(loads) == {0.1, 0.3, 1.0, 3.0, 10.0}
    assert loads[1.0] > 0.35 * len(plans)
    for pattern in PATTERNS:
        assert len({item.shape.load for item in plans if item.mechanisms[0].pattern == pattern}) == 5
    assert {item.shape.workers for item in plans} == {5, 12, 50}
    assert {item.shape.orchestrators for item in plans} == {1, 2}
    assert 5 < sum(len(item.faults) > 1 for item in plans) < 50


def test_healthy_days_are_those_of_a_dozen_workers_with_many_events() -> None:
    plans = [plan(seed) for seed in Split.REPORT.healthy(120)]
    assert sum(item.length_s for item in plans) >= 30 * 86_400
    assert all(item.shape.workers == 12 and not item.faults for item in plans)
    assert sum(len(item.backgrounds) for item in plans) > 30 * 100
    assert {happening.what.name for item in plans for happening in item.backgrounds} == {
        event.name for event in backgrounds_of(Split.REPORT)
    }
