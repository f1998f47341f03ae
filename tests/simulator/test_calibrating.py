"""How confidences are fitted: monotone, close to how often it was so, and to what was known where little was seen."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from benchmarks.detection.evaluation.calibrating import Seen, evidence, fit, refitted, shipped
from otel_monitor_processors.patterns.calibration import Knots, interpolate


def sample(number: int) -> list[tuple[float, bool]]:
    """Scores of which a tenth as much is the probability that it is so."""
    rng = random.Random(number)
    scores = [rng.uniform(0.0, 10.0) for _ in range(5_000)]
    return [(score, rng.random() < score / 10.0) for score in scores]


BEFORE: Knots = tuple((float(score), 0.5) for score in range(0, 11, 2))


def test_the_fit_says_how_often_it_was_so() -> None:
    knots = refitted(BEFORE, sample(1))
    for score in (1.0, 3.0, 5.0, 7.0, 9.0):
        assert interpolate(knots, score) == pytest.approx(score / 10.0, abs=0.07)


def test_the_scores_stay_and_confidences_never_fall() -> None:
    knots = refitted(BEFORE, [(score, so) for score, so in sample(2) if not 3.0 < score < 5.0 or not so])
    assert [score for score, _ in knots] == [score for score, _ in BEFORE]
    assert all(low <= high for (_, low), (_, high) in pairwise(knots))


def test_a_handful_of_right_findings_is_no_certainty() -> None:
    assert refitted(((5.0, 0.5), (7.0, 0.5)), [(5.0, True), (6.0, True)])[-1][1] < 0.7


def test_where_nothing_was_seen_all_stays_as_it_was() -> None:
    before = ((1.0, 0.1), (3.0, 0.6), (9.0, 0.9))
    assert refitted(before, []) == before
    assert refitted(before, [(1e9, True)] * 1_000)[:2] == before[:2]


def test_outside_the_knots_the_confidence_stays() -> None:
    knots = ((1.0, 0.2), (3.0, 0.6))
    assert [interpolate(knots, score) for score in (-9.0, 1.0, 2.0, 3.0, 99.0)] == pytest.approx(
        [0.2, 0.2, 0.4, 0.6, 0.6]
    )


def test_each_kind_of_evidence_has_its_own_knots() -> None:
    seen = [Seen("network_partition", kind, 9.0, there) for kind, there in (("several", True), ("one", False))]
    before, fitted = shipped(), fit(seen, shipped())
    assert fitted["network_partition.several"] > before["network_partition.several"]
    assert fitted["network_partition.one"] < before["network_partition.one"]
    assert fitted["load_imbalance.calls"] == before["load_imbalance.calls"]


def test_a_scenario_gives_its_findings_minute_by_minute() -> None:
    assert {item.pattern for item in evidence(4) if item.there} == {"database_contention"}
