"""What the life of an alert adds to Prometheus': missing data, fresh samples, escalation, missed evaluations."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import replace

import pytest

from otel_monitor_processors.alerts.alert import Alert, AlertTransition, State
from otel_monitor_processors.alerts.book import AlertBook
from otel_monitor_processors.alerts.lifecycle import Sample
from otel_monitor_processors.alerts.rule import Comparison, Escalation, NoData, Rule, Severity
from otel_monitor_processors.patterns.verdict import Pattern

RULE = Rule(name="deep", metric_name="queue.depth", threshold=10.0, keep_no_data_for_s=100.0, on_no_data=NoData.RESOLVE)
WAITS = replace(RULE, duration_s=60.0)
SERIES = (("queue", "q"),)


class Book:
    """An alert book that is evaluated every 15 s."""

    def __init__(self, rule: Rule, interval_s: float | None = None) -> None:
        self.rule = rule
        self.book = AlertBook(interval_s)
        self.now = 0.0
        self.transitions: list[AlertTransition] = []

    def see(self, value: float | None, *, at: float | None = None, age: float | None = None) -> Alert | None:
        """The next evaluation sees this value; the alert afterwards."""
        self.now = self.now + 15.0 if at is None else at
        sample = Sample(SERIES, value, at=None if age is None else self.now - age)
        self.evaluate([sample])
        return self.book.of(self.rule.name, SERIES)

    def evaluate(self, samples: Iterable[Sample]) -> None:
        self.transitions += self.book.evaluate(self.rule, samples, self.now)

    def states(self) -> list[tuple[str, State]]:
        return [(item.alert.rule, item.alert.state) for item in self.transitions]


def state(alert: Alert | None) -> str:
    return "inactive" if alert is None else str(alert.state)


# -- no data --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nothing", [None, math.nan])
def test_nan_is_no_data_whatever_the_comparison(nothing: float | None) -> None:
    unequal = replace(RULE, comparison=Comparison.UNEQUAL, on_no_data=NoData.RESOLVE)
    book = Book(unequal)
    assert [state(book.see(value)) for value in (nothing, 11.0, nothing)] == ["inactive", "firing", "inactive"]


@pytest.mark.parametrize(("value", "comparison"), [(math.inf, Comparison.ABOVE), (-math.inf, Comparison.BELOW)])
def test_infinity_is_compared_like_any_number(value: float, comparison: Comparison) -> None:
    assert state(Book(replace(RULE, comparison=comparison)).see(value)) == "firing"


def test_kept_without_data_an_alert_says_so_and_is_given_up_after_a_time() -> None:
    book = Book(replace(RULE, on_no_data=NoData.KEEP))
    book.see(11.0)
    book.see(None)
    alert = book.see(None)
    assert alert is not None
    assert (alert.state, alert.held) == (
        State.FIRING,
        "no data since 1970-01-01T00:00:30Z: kept firing until 1970-01-01T00:02:10Z at most",
    )
    assert book.see(None, at=130.0) is None
    assert book.transitions[-2].reason == "given up: no data for 100 s"


def test_for_a_series_that_was_given_up_an_alert_of_its_own_fires_until_there_is_data_again() -> None:
    book = Book(replace(RULE, on_no_data=NoData.KEEP))
    book.see(11.0)
    book.see(None)
    book.see(None, at=130.0)
    (about,) = [alert for alert in book.book.active() if alert.rule == "no_data"]
    assert (dict(about.labels), about.severity) == ({"queue": "q", "rule": "deep"}, Severity.WARNING)
    assert "rule deep has had no data for 100 s" in about.summary
    assert SERIES in book.book.watched("deep")
    book.see(5.0)
    assert book.states()[-1] == ("no_data", State.RESOLVED)
    assert list(book.book.watched("deep")) == []


def test_a_series_that_is_gone_for_a_day_is_not_waited_for() -> None:
    book = Book(replace(RULE, on_no_data=NoData.KEEP))
    book.see(11.0)
    book.see(None)
    book.see(None, at=130.0)
    book.now += 86_400.0
    book.evaluate([])
    assert book.states()[-1] == ("no_data", State.RESOLVED)


def test_a_kept_alert_goes_on_when_there_is_data_again() -> None:
    book = Book(replace(RULE, on_no_data=NoData.KEEP))
    first = book.see(11.0)
    book.see(None)
    again = book.see(12.0)
    assert first is not None
    assert again is not None
    assert (again.id, again.held, again.blind_since) == (first.id, "", None)
    book.see(None)
    assert state(book.see(None, at=book.now + 99.0)) == "firing"


def test_a_kept_pending_alert_does_not_count_the_time_without_data() -> None:
    book = Book(replace(WAITS, on_no_data=NoData.KEEP))
    states = [state(book.see(value)) for value in (11.0, 11.0, None, None, 11.0, 11.0, 11.0)]
    assert states == ["pending"] * 6 + ["firing"]


def test_given_up_a_pending_alert_is_inactive() -> None:
    book = Book(replace(WAITS, on_no_data=NoData.KEEP))
    book.see(11.0)
    book.see(None)
    assert book.see(None, at=200.0) is None
    assert ("deep", State.INACTIVE) in book.states()


def test_a_pattern_that_is_no_longer_there_is_clear_not_without_data() -> None:
    rule = Rule(name="lost", pattern=Pattern.HEARTBEAT_DEGRADATION, on_no_data=NoData.KEEP)
    book = Book(rule)
    book.see(0.9)
    book.now += 15.0
    book.evaluate([])
    assert book.states()[-1] == ("lost", State.RESOLVED)


@pytest.mark.parametrize(
    ("metric", "becomes"), [("queue.depth", "firing"), ("cpu_usage", "firing"), ("error_rate", "inactive")]
)
def test_a_rule_that_says_nothing_keeps_what_has_no_data_unless_that_means_that_nothing_was_called(
    metric: str, becomes: str
) -> None:
    book = Book(Rule(name="r", metric_name=metric, threshold=10.0))
    assert [state(book.see(value)) for value in (11.0, None)] == ["firing", becomes]


# -- what keeps an alert ------------------------------------------------------------------------------------


def news(book: Book) -> list[tuple[str, str, str]]:
    return [(item.previous, item.alert.state, item.reason) for item in book.transitions]


def test_what_keeps_an_alert_firing_is_told_when_it_begins_and_when_it_ends() -> None:
    book = Book(replace(RULE, keep_firing_for_s=60.0, on_no_data=NoData.KEEP))
    for value in (11.0, 5.0, 5.0, 12.0, 12.0, None, None, 12.0):
        book.see(value)
    assert news(book) == [
        ("inactive", "firing", "the condition holds"),
        ("firing", "firing", "clear since 1970-01-01T00:00:30Z: kept firing until 1970-01-01T00:01:30Z"),
        ("firing", "firing", "the condition holds again"),
        ("firing", "firing", "no data since 1970-01-01T00:01:30Z: kept firing until 1970-01-01T00:03:10Z at most"),
        ("firing", "firing", "the condition holds again"),
    ]
    assert [item.is_news for item in book.transitions] == [True, False, False, False, False]


def test_a_pending_alert_without_data_says_so_and_then_how_long_it_has_to_wait() -> None:
    book = Book(replace(WAITS, on_no_data=NoData.KEEP))
    for value in (11.0, None, None, 11.0):
        book.see(value)
    assert [reason for *_, reason in news(book)] == [
        "duration 60 s not reached before 1970-01-01T00:01:15Z",
        "no data since 1970-01-01T00:00:30Z: kept pending until 1970-01-01T00:02:10Z at most",
        "duration 60 s not reached before 1970-01-01T00:01:45Z",
    ]


def test_an_alert_may_be_kept_for_ever() -> None:
    book = Book(replace(RULE, on_no_data=NoData.KEEP, keep_no_data_for_s=1e15))
    book.see(11.0)
    alert = book.see(None)
    assert alert is not None
    assert alert.held.endswith("kept firing until 9999-12-31T23:59:59Z at most")


# -- fresh samples --------------------------------------------------------------------------------------


def test_one_sample_and_then_silence_does_not_fire() -> None:
    book = Book(WAITS)
    book.see(11.0, at=0.0, age=0.0)
    for now in (15.0, 60.0, 120.0):
        book.see(11.0, at=now, age=now)
    alert = book.see(11.0, at=285.0, age=285.0)
    assert alert is not None
    assert (alert.state, alert.held) == (State.PENDING, "waits for a fresh sample (the newest is 285 s old)")


def test_samples_rarer_than_evaluations_fire_as_in_prometheus() -> None:
    book = Book(replace(RULE, duration_s=90.0))
    states = [state(book.see(11.0, at=now, age=now % 60.0)) for now in (0.0, 30.0, 60.0, 90.0)]
    assert states == ["pending", "pending", "pending", "firing"]


def test_a_few_samples_and_then_silence_do_not_fire() -> None:
    book = Book(WAITS)
    for now in (0.0, 15.0, 30.0):
        book.see(11.0, at=now, age=0.0)
    assert state(book.see(11.0, at=75.0, age=45.0)) == "pending"
    assert state(book.see(11.0, at=90.0, age=0.0)) == "firing"


def test_without_a_duration_a_single_sample_is_enough() -> None:
    assert state(Book(RULE).see(11.0, age=200.0)) == "firing"


# -- escalation -----------------------------------------------------------------------------------------

ESCALATES = replace(
    RULE,
    escalations=(
        Escalation(severity=Severity.CRITICAL, threshold=20.0),
        Escalation(severity=Severity.EMERGENCY, threshold=20.0, after_s=60.0),
    ),
)


def test_the_severity_of_the_same_alert_rises_with_its_value_and_with_time() -> None:
    book = Book(ESCALATES)
    alerts = [book.see(value) for value in (11.0, 21.0, 21.0, 21.0, 21.0)]
    assert [alert.severity for alert in alerts if alert is not None] == [
        Severity.WARNING,
        Severity.CRITICAL,
        Severity.CRITICAL,
        Severity.CRITICAL,
        Severity.EMERGENCY,
    ]
    assert len({alert.id for alert in alerts if alert is not None}) == 1
    changes = [item for item in book.transitions if item.previous_severity is not None]
    assert [(item.previous, item.alert.state, item.previous_severity) for item in changes] == [
        (State.FIRING, State.FIRING, Severity.WARNING),
        (State.FIRING, State.FIRING, Severity.CRITICAL),
    ]
    assert changes[0].reason == "severity has changed from warning to critical (value 21)"


def test_within_an_episode_the_severity_does_not_fall_again_in_the_next_it_does() -> None:
    book = Book(ESCALATES)
    severities = [alert.severity for value in (21.0, 11.0, 5.0, 11.0) if (alert := book.see(value)) is not None]
    assert severities == [Severity.CRITICAL, Severity.CRITICAL, Severity.WARNING]


# -- missed evaluations and restarts ----------------------------------------------------------------------


def test_what_was_not_evaluated_does_not_count_for_a_pending_alert() -> None:
    book = Book(WAITS, interval_s=15.0)
    first = book.see(11.0)
    book.see(11.0)
    assert state(book.see(11.0, at=book.now + 3_600.0)) == "pending"
    assert state(book.see(11.0)) == "pending"
    fired = book.see(11.0)
    assert first is not None
    assert fired is not None
    assert (fired.state, fired.id) == (State.FIRING, first.id)


def test_what_fires_goes_on_firing_after_missed_evaluations() -> None:
    book = Book(replace(RULE, keep_firing_for_s=60.0), interval_s=15.0)
    book.see(11.0)
    book.see(5.0)
    assert state(book.see(5.0, at=book.now + 3_600.0)) == "firing"
    assert [state(book.see(5.0)) for _ in range(3)] == ["firing", "firing", "inactive"]


def test_one_late_evaluation_changes_nothing() -> None:
    book = Book(WAITS, interval_s=15.0)
    book.see(11.0, at=0.0)
    assert state(book.see(11.0, at=30.0)) == "pending"
    assert state(book.see(11.0, at=60.0)) == "firing"


def test_after_a_restart_a_book_goes_on_as_if_nothing_had_been() -> None:
    values = [11.0, 11.0, None, 11.0, 11.0, 21.0, None, 5.0, 11.0]
    rule = replace(ESCALATES, duration_s=30.0, on_no_data=NoData.KEEP)
    undisturbed, restarted = Book(rule, 15.0), Book(rule, 15.0)
    for value in values:
        undisturbed.see(value)
        restarted.see(value)
        state = json.loads(json.dumps(restarted.book.dump()))
        restarted.book = AlertBook(15.0)
        restarted.book.load(state)
    assert restarted.transitions == undisturbed.transitions


def restored(rule: Rule, alert: Alert, now: float, last_seen_at: float | None = None) -> Book:
    book = Book(rule)
    book.now = now
    book.transitions += book.book.restore([rule], [alert], now, last_seen_at)
    return book


def test_a_restored_alert_stays_the_same_until_there_is_data_on_its_series_again() -> None:
    first = Book(RULE).see(11.0)
    assert first is not None
    book = restored(RULE, first, 1_000.0)
    assert [state(book.see(None)), state(book.see(11.0))] == ["firing", "firing"]
    assert book.transitions == []
    assert book.book.active()[0].id == first.id
    assert state(book.see(None)) == "inactive"


def test_a_restored_alert_that_there_is_no_data_on_for_long_ends_as_any_other() -> None:
    first = Book(RULE).see(11.0)
    assert first is not None
    book = restored(RULE, first, 1_000.0)
    book.now = 1_299.0
    book.evaluate([])
    assert book.transitions == []
    book.now = 1_300.0
    book.evaluate([])
    assert book.states() == [("deep", State.RESOLVED)]


@pytest.mark.parametrize(("away_s", "is_over"), [(300.0, False), (301.0, True)])
def test_a_firing_alert_of_a_process_that_was_away_for_long_is_over(away_s: float, *, is_over: bool) -> None:
    first = Book(RULE).see(11.0)
    assert first is not None
    book = restored(RULE, first, 1_000.0, 1_000.0 - away_s)
    assert book.states() == ([("deep", State.RESOLVED)] if is_over else [])
    again = book.see(11.0)
    assert again is not None
    assert (again.id == first.id) is not is_over


@pytest.mark.parametrize(("last_seen_at", "fires_after"), [(None, 60.0), (45.0, 30.0)])
def test_the_time_of_a_restart_does_not_count_for_a_pending_alert(
    last_seen_at: float | None, fires_after: float
) -> None:
    first = Book(WAITS).see(11.0)
    assert first is not None
    book = restored(WAITS, first, 1_000.0, last_seen_at)
    assert state(book.see(11.0, at=999.0 + fires_after)) == "pending"
    fired = book.see(11.0, at=1_000.0 + fires_after)
    assert fired is not None
    assert (fired.state, fired.id) == (State.FIRING, first.id)


def test_a_restored_alert_whose_rule_is_no_more_is_resolved() -> None:
    first = Book(RULE).see(11.0)
    assert first is not None
    book = restored(replace(RULE, name="other"), first, 1_000.0)
    assert [(item.alert.state, item.reason) for item in book.transitions] == [(State.RESOLVED, "its rule is no more")]


def test_a_restored_alert_of_a_rule_with_labels_finds_its_series() -> None:
    rule = replace(RULE, labels=(("team", "a"),))
    first = Book(rule).see(11.0)
    assert first is not None
    assert dict(first.labels) == {"queue": "q", "team": "a"}
    assert state(restored(rule, first, 1_000.0).see(5.0)) == "inactive"


# -- rules that cannot be evaluated -------------------------------------------------------------------------


def broken() -> Iterable[Sample]:
    yield Sample((("queue", "p"),), 11.0)
    raise RuntimeError("the points are gone")


def test_a_rule_that_cannot_be_evaluated_keeps_its_state_and_raises_an_alert_of_its_own() -> None:
    book = Book(RULE)
    book.see(11.0)
    book.evaluate(broken())
    assert state(book.book.of("deep", SERIES)) == "firing"
    (about,) = [alert for alert in book.book.active() if alert.rule == "rule_failed"]
    assert dict(about.labels) == {"rule": "deep"}
    assert about.summary == (
        "A rule cannot be evaluated; its alerts stay as they are: deep: RuntimeError: the points are gone"
    )
    book.evaluate(broken())
    assert book.states().count(("rule_failed", State.FIRING)) == 1
    book.see(11.0)
    assert book.states()[-1] == ("rule_failed", State.RESOLVED)


def test_two_series_that_a_rules_own_labels_make_one_are_a_rule_that_cannot_be_evaluated() -> None:
    rule = replace(RULE, labels=(("queue", "any"),))
    book = Book(rule)
    book.evaluate([Sample((("queue", "p"),), 11.0), Sample((("queue", "q"),), 12.0)])
    assert book.states() == [("rule_failed", State.FIRING)]
    (about,) = book.book.active()
    assert "two series have the same labels (queue=any) under the labels of the rule" in about.summary


def test_the_alerts_of_the_other_rules_go_on() -> None:
    book = Book(RULE)
    book.evaluate(broken())
    other = replace(RULE, name="other")
    assert [item.alert.rule for item in book.book.evaluate(other, [Sample(SERIES, 11.0)], book.now)] == ["other"]


def test_a_book_that_is_full_counts_what_it_has_no_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otel_monitor_processors.alerts.book._MAX_ALERTS", 2)
    book = Book(RULE)
    book.evaluate(Sample((("queue", str(index)),), 11.0 if index < 5 else 1.0) for index in range(9))
    assert (len(book.book), book.book.dropped) == (2, 3)
