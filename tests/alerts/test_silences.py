"""Silences hold back what they match while they are active, and say by whom and until when."""

from __future__ import annotations

import pytest

from otel_monitor_processors.alerts.dispatcher import Dispatcher
from otel_monitor_processors.alerts.matcher import parse_matchers
from otel_monitor_processors.alerts.route import Route
from otel_monitor_processors.alerts.silence import Silence, SilenceError, Silences, SilenceState
from tests.alerts.timeline import Timeline, reasons, told

PROMPT = Route(group_wait_s=0.0, group_interval_s=10.0, repeat_interval_s=1000.0)


def silence(matchers: str = "rule=r", starts_at: float = 10.0, ends_at: float = 20.0, author: str = "ann") -> Silence:
    return Silence(
        matchers=parse_matchers(matchers), starts_at=starts_at, ends_at=ends_at, author=author, comment="deploy"
    )


def test_a_silence_is_pending_then_active_then_expired() -> None:
    states = [silence().state(now) for now in (9.9, 10.0, 19.9, 20.0)]
    assert states == [SilenceState.PENDING, SilenceState.ACTIVE, SilenceState.ACTIVE, SilenceState.EXPIRED]


def test_everything_that_is_wrong_with_a_silence_is_said_at_once() -> None:
    with pytest.raises(SilenceError) as caught:
        Silence(matchers=parse_matchers("rule=~.*"), starts_at=5.0, ends_at=5.0, author=" ", comment="")
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["ends_at", "matchers", "author", "comment"]


def test_a_silence_needs_times_and_a_matcher() -> None:
    with pytest.raises(SilenceError) as caught:
        Silence(matchers=(), starts_at=float("nan"), ends_at=5.0, author="ann", comment="x")
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["starts_at and ends_at", "matchers"]


def test_a_silence_that_is_over_cannot_be_added() -> None:
    with pytest.raises(SilenceError, match="in the past"):
        Silences().add(silence(), 30.0)


def test_the_same_silence_has_the_same_id_and_is_kept_once() -> None:
    silences = Silences()
    assert silences.add(silence(), 0.0) == silences.add(silence(), 0.0)
    assert len(silences.all()) == 1


def test_an_expired_silence_can_be_looked_up_for_some_days() -> None:
    silences = Silences()
    silences.add(silence(), 0.0)
    silences.forget(4 * 86400.0)
    assert len(silences.all()) == 1
    silences.forget(6 * 86400.0)
    assert silences.all() == []


def test_a_pending_silence_can_be_taken_back_before_it_begins() -> None:
    silences = Silences()
    identity = silences.add(silence(), 0.0)
    silences.expire(identity, 5.0)
    assert silences.holding({"rule": "r"}, 12.0) is None


def test_an_unknown_silence_cannot_be_expired() -> None:
    with pytest.raises(LookupError, match="no silence 'x'"):
        Silences().expire("x", 0.0)


def test_of_two_silences_the_one_that_lasts_longer_is_named() -> None:
    silences = Silences()
    silences.add(silence(ends_at=20.0, author="ann"), 0.0)
    silences.add(silence(ends_at=40.0, author="bob"), 0.0)
    held = silences.holding({"rule": "r"}, 15.0)
    assert held is not None
    assert held.reason == "silenced by bob (deploy) until 1970-01-01T00:00:40Z"
    assert held.until == 40.0


def test_a_silenced_alert_says_who_silenced_it_and_until_when() -> None:
    timeline = Timeline(lambda: Dispatcher(["a"], PROMPT))
    timeline.silence("rule=r", 0.0, 100.0)
    fired = timeline.fire("r", at=5.0)
    assert timeline.until(50.0) == []
    assert reasons(timeline.dispatcher, fired.id)["silence"] == "silenced by ann (known) until 1970-01-01T00:01:40Z"
    (decision,) = [d for d in timeline.dispatcher.decisions(fired.id) if d.stage == "silence"]
    assert (decision.held, decision.since, decision.at, decision.until) == (True, 5.0, 45.0, 100.0)


def test_an_alert_that_goes_on_after_its_silence_is_news() -> None:
    timeline = Timeline(lambda: Dispatcher(["a"], PROMPT))
    fired = timeline.fire("r", at=0.0)
    timeline.until(1.0)
    timeline.silence("rule=r", 1.0, 35.0)
    timeline.until(60.0)
    assert [told(item)[:2] for item in timeline.sent] == [(0.0, "first"), (40.0, "new alerts")]
    assert reasons(timeline.dispatcher, fired.id)["silence"].startswith("no longer silenced by ann")


def test_who_was_told_that_it_fires_is_told_that_it_is_over_even_if_silenced_meanwhile() -> None:
    timeline = Timeline(lambda: Dispatcher(["a"], PROMPT))
    fired = timeline.fire("r", at=0.0)
    timeline.until(1.0)
    timeline.silence("rule=r", 1.0, 1000.0)
    timeline.resolve(fired, at=12.0)
    assert [told(item) for item in timeline.until(30.0)] == [(20.0, "all resolved", [], ["r"])]


def test_what_was_silenced_all_its_life_is_not_told_at_its_end() -> None:
    timeline = Timeline(lambda: Dispatcher(["a"], PROMPT))
    timeline.silence("rule=r", 0.0, 1000.0)
    fired = timeline.fire("r", at=1.0)
    timeline.resolve(fired, at=12.0)
    timeline.until(100.0)
    assert timeline.sent == []
