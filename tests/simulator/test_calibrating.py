"""How confidences are fitted: monotone, few knots, never certain, and close to how often it was so."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from benchmarks.detection.evaluation.calibrating import MOST_KNOTS, Seen, evidence, fit, knots_of
from otel_monitor_processors.patterns.calibration import interpolate


def sample(number: int) -> list[tuple[float, bool]]:
    """Scores of which a tenth as much is the probability that it is so."""
    rng = random.Random(number)
    scores = [rng.uniform(0.0, 10.0) for _ in range(5_000)]
    return [(score, rng.random() < score / 10.0) for score in scores]


def test_the_fit_says_how_often_it_was_so() -> None:
    knots = knots_of(sample(1))
    for score in (1.0, 3.0, 5.0, 7.0, 9.0):
        assert interpolate(knots, score) == pytest.approx(score / 10.0, abs=0.07)


def test_knots_are_few_rise_and_are_never_certain() -> None:
    knots = knots_of(sample(2))
    assert len(knots) <= MOST_KNOTS
    assert all(low[0] < high[0] and low[1] < high[1] for low, high in pairwise(knots))
    assert 0.0 <= knots[0][1] < knots[-1][1] < 1.0


def test_a_handful_of_right_findings_is_no_certainty() -> None:
    assert knots_of([(5.0, True), (6.0, True)])[-1][1] < 0.9


def test_outside_the_knots_the_confidence_stays() -> None:
    knots = ((1.0, 0.2), (3.0, 0.6))
    assert [interpolate(knots, score) for score in (-9.0, 1.0, 2.0, 3.0, 99.0)] == pytest.approx(
        [0.2, 0.2, 0.4, 0.6, 0.6]
    )


def test_each_kind_of_evidence_has_its_own_knots() -> None:
    seen = [Seen("network_partition", kind, 5.0, there) for kind, there in (("several", True), ("one", False))]
    fitted = fit(seen)
    assert list(fitted) == ["network_partition.one", "network_partition.several"]
    assert fitted["network_partition.one"][-1][1] < fitted["network_partition.several"][-1][1]


def test_a_scenario_gives_its_findings_minute_by_minute() -> None:
    assert {item.pattern for item in evidence(4) if item.there} == {"database_contention"}
