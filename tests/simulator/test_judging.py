"""Alarms against the truth, on cases made by hand."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.detection.evaluation.alarms import Alarm, alarms_of, judge, overlap
from benchmarks.detection.evaluation.cells import Bins, bins_of
from benchmarks.detection.evaluation.naive import Count, NaiveMonitor, Setting, all_settings, choose, chosen_settings
from benchmarks.detection.evaluation.recorded import label_of
from benchmarks.detection.evaluation.running import Result
from benchmarks.detection.evaluation.scores import (
    bootstrap,
    confusion,
    false_per_day,
    macro_f1,
    quantile,
    score,
    scores,
)
from benchmarks.detection.scenarios.labels import Fault, Label, Tolerance
from benchmarks.detection.scenarios.mechanism import PATTERNS
from otel_monitor_processors.observation import Heartbeat, Operation, Outcome

PARTITION, HEARTBEATS, CASCADE = "network_partition", "heartbeat_degradation", "cascading_failures"
FAULT = Fault(PARTITION, "a cut", 1_000.0, 1_200.0, ("w1", "w2"), (("w3",),), frozenset({HEARTBEATS}))
LABEL = Label("test", 0.0, 3_600.0, (FAULT,), (Tolerance(940.0, 1_380.0, frozenset({HEARTBEATS}), "cut"),))
HEALTHY = Label("healthy", 0.0, 86_400.0)


def _alarm(pattern: str, at: float, until: float | None = None, *sources: str) -> Alarm:
    return Alarm(pattern, at, until if until is not None else at + 10.0, [(at, sources)])


def _verdict(at: float, state: str, confidence: float, *sources: str, scope: str = "") -> dict[str, Any]:
    return {
        "type": "verdict",
        "at": at,
        "pattern": PARTITION,
        "scope": scope,
        "state": state,
        "confidence": confidence,
        "sources": list(sources),
    }


def test_an_alarm_begins_where_the_confidence_reaches_one_half() -> None:
    verdicts = [
        _verdict(10, "opened", 0.3, "w1"),
        _verdict(20, "updated", 0.6, "w1"),
        _verdict(30, "updated", 0.9, "w1", "w2"),
        _verdict(40, "updated", 0.4, "w1", "w2"),
        _verdict(50, "updated", 0.7, "w2"),
        _verdict(60, "closed", 0.9, "w2"),
        _verdict(70, "opened", 0.8, "w9", scope="other"),
    ]
    found = [(alarm.at, alarm.until) for alarm in alarms_of(verdicts, 100.0)]
    assert found == [(20, 40), (50, 60), (70, 100.0)]
    first = alarms_of(verdicts, 100.0)[0]
    assert first.sources(25) == ("w1",)
    assert first.sources(35) == ("w1", "w2")


@pytest.mark.parametrize(
    ("at", "found"), [(999.0, False), (1_000.0, True), (1_260.0, True), (1_260.5, False), (3_000.0, False)]
)
def test_an_alarm_counts_from_the_onset_until_a_minute_after_the_end(at: float, found: bool) -> None:
    judgement = judge(LABEL, [_alarm(PARTITION, at)])
    assert judgement.found(0) is found
    assert bool(judgement.false) is not found


def test_alarms_within_two_minutes_are_one_but_none_before_the_onset_becomes_right() -> None:
    judgement = judge(
        LABEL, [_alarm(PARTITION, 1_020.0), _alarm(PARTITION, 1_100.0, 1_200.0), _alarm(PARTITION, 1_300.0)]
    )
    assert judgement.hits[0].delay_s == 20.0
    assert judgement.false == []  # the last is within two minutes of one that was right
    early = judge(LABEL, [_alarm(PARTITION, 960.0, 980.0), _alarm(PARTITION, 1_030.0)])
    assert [alarm.at for alarm in early.false] == [960.0]
    assert early.hits[0].delay_s == 30.0
    apart = judge(HEALTHY, [_alarm(CASCADE, 100.0), _alarm(CASCADE, 200.0), _alarm(CASCADE, 400.0)])
    assert [alarm.at for alarm in apart.false] == [100.0, 400.0]


def test_other_patterns_are_false_unless_they_are_declared_consequences() -> None:
    judgement = judge(LABEL, [_alarm(HEARTBEATS, 1_010.0), _alarm(CASCADE, 1_010.0), _alarm(HEARTBEATS, 2_000.0)])
    assert [alarm.pattern for alarm in judgement.tolerated] == [HEARTBEATS]
    assert [(alarm.pattern, alarm.at) for alarm in judgement.false] == [(CASCADE, 1_010.0), (HEARTBEATS, 2_000.0)]
    assert not judgement.found(0)


def test_what_the_telemetry_does_not_show_is_not_demanded() -> None:
    hidden = Fault(PARTITION, "a cut", 1_000.0, 1_200.0, ("w1",), visible=False)
    label = Label("test", 0.0, 3_600.0, (hidden,), (Tolerance(940.0, 1_380.0, frozenset({PARTITION}), "hidden"),))
    result = _result(label, [_alarm(PARTITION, 1_010.0)])
    assert result.judgement.false == []
    assert score([result], PARTITION).wanted == 0


def test_sources_are_compared_by_jaccards_index_with_the_best_of_the_right_answers() -> None:
    assert overlap({"w1", "w2"}, {"w1", "w2"}) == 1.0
    assert overlap({"w1", "w9"}, {"w1", "w2"}) == pytest.approx(1 / 3)
    assert judge(LABEL, [_alarm(PARTITION, 1_010.0, 1_100.0, "w1")]).hits[0].overlap == 0.5
    assert judge(LABEL, [_alarm(PARTITION, 1_010.0, 1_100.0, "w3")]).hits[0].overlap == 1.0


def test_the_lead_is_the_share_of_the_way_that_was_left() -> None:
    leak = Fault("resource_exhaustion", "a leak", 1_000.0, 1_500.0, ("w1",), limit_at=1_400.0)
    label = Label("test", 0.0, 3_600.0, (leak,))
    assert judge(label, [_alarm("resource_exhaustion", 1_100.0)]).hits[0].lead == 0.75
    assert judge(label, [_alarm("resource_exhaustion", 1_500.0)]).hits[0].lead == pytest.approx(-0.25)


def test_what_is_at_its_limit_at_once_has_no_lead() -> None:
    burst = Fault("resource_exhaustion", "a burst", 1_000.0, 1_500.0, ("w1",), limit_at=1_059.0)
    label = Label("test", 0.0, 3_600.0, (burst,))
    assert judge(label, [_alarm("resource_exhaustion", 1_010.0)]).hits[0].lead is None


def _result(label: Label, alarms: list[Alarm], naive: list[Alarm] | None = None) -> Result:
    return Result(label, judge(label, alarms), judge(label, naive or []), {name: Bins() for name in PATTERNS})


def test_precision_recall_and_f1_over_recordings() -> None:
    results = [
        _result(LABEL, [_alarm(PARTITION, 1_010.0)]),
        _result(LABEL, [_alarm(PARTITION, 1_050.0), _alarm(PARTITION, 3_000.0)]),
        _result(LABEL, []),
        _result(HEALTHY, [_alarm(CASCADE, 10.0), _alarm(CASCADE, 1_000.0)]),
    ]
    item = score(results, PARTITION)
    assert (item.found, item.missed, item.false) == (2, 1, 1)
    assert item.precision == item.recall == item.f1 == pytest.approx(2 / 3)
    assert (item.delay(0.0), item.delay(0.5), item.delay(1.0)) == (10.0, 30.0, 50.0)
    assert macro_f1(scores(results)) == pytest.approx(2 / 3)  # of the patterns that there was something of
    assert false_per_day(results) == (2, 1.0)
    assert false_per_day(results, pattern=PARTITION) == (0, 1.0)
    table = confusion(results)
    assert table[PARTITION] == {PARTITION: 2, "nothing": 1, "recordings": 3}
    assert table["healthy"] == {CASCADE: 1, "recordings": 1}
    interval = bootstrap(results, rounds=200)[PARTITION]
    assert 0.0 <= interval.low <= 2 / 3 <= interval.high <= 1.0


def test_quantiles_lie_between_neighbours() -> None:
    assert quantile([], 0.5) is None
    assert quantile([3.0, 1.0], 0.5) == 2.0
    assert quantile([1.0, 2.0, 3.0, 10.0], 0.95) == pytest.approx(8.95)


def test_cells_leave_out_the_first_minute_of_a_failure_and_three_after_it() -> None:
    lines = [{"at": float(at), PARTITION: 0.9, HEARTBEATS: 0.2} for at in range(60, 3_601, 60)]
    bins = bins_of(LABEL, lines, (PARTITION, HEARTBEATS, CASCADE))
    there = [at for at in range(60, 3_601, 60) if 1_060 <= at <= 1_200]
    out = [at for at in range(60, 3_601, 60) if (940 < at < 1_060) or (1_200 < at < 1_380)]
    assert sum(bins[PARTITION].there) == len(there)
    assert bins[PARTITION].cells == 60 - len(out)
    assert bins[HEARTBEATS].cells == 60 - sum(940 <= at <= 1_380 for at in range(60, 3_601, 60))
    assert bins[CASCADE].brier == 0.0  # a pattern that a line does not name has no confidence


def test_brier_and_calibration_error_of_cells_made_by_hand() -> None:
    bins = Bins()
    for confidence, there in ((0.95, True), (0.95, True), (0.95, False), (0.05, False)):
        bins.add(confidence, there)
    assert bins.brier == pytest.approx((2 * 0.05**2 + 0.95**2 + 0.05**2) / 4)
    assert bins.calibration_error == pytest.approx((abs(3 * 0.95 - 2) + 0.05) / 4)
    assert bins.base_rate == 0.5
    assert bins.climate == 0.25
    other = Bins()
    other.add(1.0, there=True)
    bins.merge(other)
    assert bins.cells == 5
    assert bins.count[9] == 4


def test_a_simple_rule_alarms_after_two_readings_and_stops_after_a_quiet_minute() -> None:
    monitor = NaiveMonitor()
    for second in range(400):
        failing = 100 <= second < 160
        for number in range(4):
            outcome = Outcome.FAILED if failing else Outcome.OK
            monitor.hear(Operation(1_000.0 + second, f"w{number}", "process", outcome, 0.1))
    strict = Setting(CASCADE, "failures=5", 4)
    (alarm,) = monitor.alarms(strict)
    assert 1_105.0 <= alarm.at <= 1_120.0
    assert 1_200.0 <= alarm.until <= 1_290.0
    assert set(alarm.sources(alarm.until)) == {"w0", "w1", "w2", "w3"}
    assert monitor.alarms(Setting(CASCADE, "failures=5", 5)) == []


def test_the_simple_rule_for_heartbeats_knows_each_workers_interval() -> None:
    monitor = NaiveMonitor()
    for second in range(0, 600, 2):
        if second < 300:
            monitor.hear(Heartbeat(1_000.0 + second, "silent", "boss"))
        monitor.hear(Heartbeat(1_000.0 + second, "steady", "boss"))
    (alarm,) = monitor.alarms(Setting(HEARTBEATS, "", 8.0))
    assert 1_310.0 <= alarm.at <= 1_330.0
    assert alarm.sources(alarm.at) == ("silent",)


def test_the_best_setting_is_chosen_for_each_pattern_and_the_shipped_ones_exist() -> None:
    counts = {setting: Count(1, 1, number) for number, setting in enumerate(all_settings())}
    best = {setting.pattern: setting for setting in choose(counts)}
    assert set(best) == set(PATTERNS)
    for pattern, setting in best.items():
        assert counts[setting].false == min(count.false for item, count in counts.items() if item.pattern == pattern)
    assert set(chosen_settings().values()) <= set(all_settings())


def test_labels_of_recorded_data_demand_only_what_they_say() -> None:
    row: dict[str, Any] = {
        "file": "a.jsonl.gz",
        "dataset": "real",
        "start": 100.0,
        "end": 900.0,
        "label": [{"kind": "cpu", "target": "host-1", "start": 300, "end": 400}],
        "patterns": ["resource_exhaustion"],
        "tolerated": [CASCADE],
        "unlisted": [{"kind": "discovery", "start": 200.0, "end": 250.0}],
    }
    label = label_of(row)
    (fault,) = label.faults
    assert (fault.pattern, fault.onset, fault.end) == ("resource_exhaustion", 300.0, 400.0)
    assert judge(label, [_alarm(CASCADE, 120.0), _alarm(PARTITION, 320.0)]).false[0].pattern == PARTITION
    other = label_of({**row, "patterns": None, "tolerated": []})
    assert other.faults == ()
    assert [alarm.at for alarm in judge(other, [_alarm(CASCADE, 205.0), _alarm(CASCADE, 700.0)]).false] == [700.0]
    hidden = label_of({**row, "evidence": {"visible": False}})
    assert not hidden.faults[0].visible


def test_the_simulators_own_labels_survive_being_written() -> None:
    label = label_of({**LABEL.to_json("a.jsonl.gz"), "dataset": "simulated"})
    assert label.faults == LABEL.faults
    assert label.tolerated(HEARTBEATS, 1_100.0)
    assert not label.tolerated(HEARTBEATS, 2_000.0)
    assert not label.tolerated(CASCADE, 1_100.0)
