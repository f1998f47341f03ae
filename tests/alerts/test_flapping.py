"""Flapping is Nagios': 21 states, newer changes weigh more; one message says so, one the end."""

from __future__ import annotations

import pytest

from otel_monitor_processors.alerts.dispatcher import Dispatcher
from otel_monitor_processors.alerts.flapping import OK, Flapping, FlapPolicy, percent_changed
from otel_monitor_processors.alerts.route import Route
from tests.alerts.timeline import Timeline, reasons, told

BAD = 13
PROMPT = Route(group_wait_s=0.0, group_interval_s=1.0, repeat_interval_s=10_000.0)


@pytest.mark.parametrize(
    ("states", "percent"),
    [
        ([OK] * 21, 0.0),
        ([OK, BAD] * 10 + [OK], 100.0),
        ([OK] * 20 + [BAD], 1.25 / 20 * 100),
        ([OK] + [BAD] * 20, 0.75 / 20 * 100),
        ([OK] * 19 + [BAD, OK], (1.25 + 1.25 - 0.5 / 19) / 20 * 100),
        ([BAD], 0.0),
        ([], 0.0),
        ([OK, BAD], 1.25 / 20 * 100),
    ],
)
def test_the_newest_change_weighs_most(states: list[int], percent: float) -> None:
    assert percent_changed(states) == pytest.approx(percent)


def test_the_example_of_the_method_comes_out_the_same() -> None:
    """Changes at the 3rd, 4th, 5th, 9th, 12th, 16th and 19th of the 20 places: 35 % unweighted."""
    changes = {3, 4, 5, 9, 12, 16, 19}
    states = [OK]
    for place in range(1, 21):
        states.append((BAD if states[-1] == OK else OK) if place in changes else states[-1])
    weights = [0.75 + 0.5 * (place - 1) / 19 for place in changes]
    assert percent_changed(states) == pytest.approx(sum(weights) / 20 * 100)
    assert 34.0 < percent_changed(states) < 35.0


def test_between_the_two_thresholds_nothing_changes() -> None:
    flapping = Flapping(FlapPolicy(high=20.0, low=5.0, interval_s=60.0))
    for at in range(4):
        flapping.note("f", BAD if at % 2 == 0 else OK, float(at))
    assert flapping.of("f", 3.0) is not None
    flap = flapping.of("f", 303.0)
    assert flap is not None
    assert 5.0 < flap.percent < 24.5
    assert flapping.of("f", flap.until - 1.0) is not None
    assert flapping.of("f", flap.until) is None


def test_rare_changes_are_no_flapping() -> None:
    flapping = Flapping(FlapPolicy(interval_s=60.0))
    for hour in range(10):
        flapping.note("f", BAD, hour * 3600.0)
        flapping.note("f", OK, hour * 3600.0 + 1200.0)
        assert flapping.of("f", hour * 3600.0 + 1200.0) is None


def flap(timeline: Timeline, times: int, every: float = 10.0) -> float:
    at = timeline.now
    for _ in range(times):
        fired = timeline.fire("r", at=at)
        timeline.resolve(fired, at=at + every / 2)
        at += every
    return at


def test_while_an_alert_flaps_one_message_says_so_and_one_the_end() -> None:
    timeline = Timeline(lambda: Dispatcher(["a"], PROMPT))
    at = flap(timeline, 20)
    during = [told(item)[1] for item in timeline.until(at)]
    assert during == ["first", "all resolved", "new alerts", "flapping"]
    assert [told(item)[1:] for item in timeline.until(5_000.0)] == [("all resolved", [], ["r"])]


def test_an_alert_that_comes_to_rest_firing_is_not_told_as_over() -> None:
    timeline = Timeline(lambda: Dispatcher(["a"], PROMPT))
    at = flap(timeline, 10)
    fired = timeline.fire("r", at=at)
    timeline.until(at)
    assert timeline.until(5_000.0) == []
    timeline.resolve(fired, at=5_000.0)
    assert [told(item)[1:] for item in timeline.until(6_000.0)] == [("all resolved", [], ["r"])]


def test_a_flapping_alert_says_how_much_of_its_states_are_changes_and_until_when() -> None:
    timeline = Timeline(lambda: Dispatcher(["a"], PROMPT))
    at = flap(timeline, 10)
    fired = timeline.fire("r", at=at)
    timeline.until(at + 2.0)
    (decision,) = [d for d in timeline.dispatcher.decisions(fired.id) if d.stage == "flapping"]
    assert decision.held
    assert decision.reason == "flapping: 100 % of its last states are changes"
    assert decision.until == pytest.approx(at + 20 * 60.0, abs=61.0)
    assert "flapping" in reasons(timeline.dispatcher, fired.fingerprint)


def test_where_it_is_turned_off_every_change_is_told() -> None:
    timeline = Timeline(lambda: Dispatcher(["a"], PROMPT, flapping=FlapPolicy(enabled=False)))
    at = flap(timeline, 20)
    assert len(timeline.until(at)) == 40
    assert timeline.dispatcher.dump()["overlays"]["flapping"] == []


def test_the_histories_of_alerts_at_rest_are_let_go() -> None:
    flapping = Flapping(FlapPolicy(interval_s=60.0))
    flapping.note("a", BAD, 0.0)
    flapping.note("a", OK, 10.0)
    flapping.note("b", BAD, 0.0)
    flapping.forget(3_000.0, ["b"])
    assert [name for name, *_ in flapping.dump()] == ["b"]
