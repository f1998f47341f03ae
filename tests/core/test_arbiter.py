"""The arbiter: which of several findings is reported, when a verdict opens, and when it closes."""

from __future__ import annotations

import json

import pytest

from otel_monitor_processors.patterns.arbiter import Arbiter, explain
from otel_monitor_processors.patterns.finding import Finding
from otel_monitor_processors.patterns.verdict import Pattern, Verdict, VerdictState

LOCKED = Pattern.DATABASE_CONTENTION
CUT = Pattern.NETWORK_PARTITION
LOST = Pattern.HEARTBEAT_DEGRADATION
CASCADE = Pattern.CASCADING_FAILURES
UNEVEN = Pattern.LOAD_IMBALANCE


def found(
    pattern: Pattern,
    confidence: float = 0.9,
    *sources: str,
    explains: frozenset[str] | None = frozenset(),
    sure: bool = False,
) -> Finding:
    return Finding(
        pattern=pattern,
        scope="all",
        confidence=confidence,
        sources=sources or ("w1",),
        summary=f"{pattern} is there",
        window_s=60.0,
        explains=explains,
        sure=sure,
    )


class Court:
    """An arbiter and the time."""

    def __init__(self) -> None:
        self.arbiter = Arbiter()
        self.now = 1_000.0

    def hear(self, *findings: Finding, seconds: int = 1) -> list[Verdict]:
        """The same findings every second; what was said of them."""
        said: list[Verdict] = []
        for _ in range(seconds):
            self.now += 1.0
            said += self.arbiter.judge(findings, self.now)
        return said


def opened(verdicts: list[Verdict]) -> list[Pattern]:
    return [verdict.pattern for verdict in verdicts if verdict.state is VerdictState.OPENED]


def test_a_verdict_opens_at_the_second_look_and_at_once_when_it_is_sure() -> None:
    court = Court()
    assert court.hear(found(LOST)) == []
    assert opened(court.hear(found(LOST))) == [LOST]
    assert opened(Court().hear(found(LOST, sure=True))) == [LOST]


def test_below_one_half_nothing_opens() -> None:
    assert Court().hear(found(LOST, 0.49), seconds=60) == []


def test_an_open_verdict_stays_above_its_lower_bound_and_closes_after_five_seconds_below() -> None:
    court = Court()
    court.hear(found(LOST), seconds=2)
    assert court.hear(found(LOST, 0.31), seconds=60) == []
    assert court.hear(found(LOST, 0.29), seconds=5) == []
    (closed,) = court.hear(found(LOST, 0.29))
    assert closed.state is VerdictState.CLOSED
    assert court.arbiter.open_verdicts() == []


def test_what_a_cause_accounts_for_is_not_reported_but_named_as_its_rival() -> None:
    court = Court()
    said = court.hear(found(LOST, 0.9, "w1", "w2"), found(LOCKED, 0.8, explains=None), seconds=30)
    assert opened(said) == [LOCKED]
    (rival,) = said[0].evidence["rivals"]
    assert (rival["pattern"], rival["sources"]) == (LOST, ["w1", "w2"])
    assert court.arbiter.confidence(LOST) <= 0.2


def test_a_cause_that_names_only_some_does_not_account_for_the_others() -> None:
    cause = found(CUT, 0.9, "w1", explains=frozenset({"w1"}))
    assert explain([cause, found(LOST, 0.9, "w1")])[1].confidence <= 0.2
    assert explain([cause, found(LOST, 0.9, "w1", "w2")])[1].confidence == 0.9


def test_nothing_accounts_for_what_stands_before_it() -> None:
    said = Court().hear(found(CASCADE, 0.95, explains=None), found(LOST, 0.6), seconds=2)
    assert opened(said) == [LOST, CASCADE]


@pytest.mark.parametrize(("cause", "effect"), [(CUT, CASCADE), (CUT, UNEVEN), (CASCADE, UNEVEN), (LOCKED, UNEVEN)])
def test_some_causes_account_for_what_happens_to_others_too(cause: Pattern, effect: Pattern) -> None:
    said = Court().hear(found(cause, 0.9, "w1", explains=frozenset({"w1"})), found(effect, 0.9, "w7"), seconds=30)
    assert opened(said) == [cause]


def test_a_suspected_cause_makes_what_it_would_account_for_wait_ten_seconds() -> None:
    court = Court()
    suspicion = found(LOCKED, 0.3, explains=None)
    assert court.hear(found(LOST, sure=True), suspicion, seconds=10) == []
    assert opened(court.hear(found(LOST, sure=True), suspicion, seconds=2)) == [LOST]


def test_a_cause_accounts_for_its_aftermath_and_then_no_more() -> None:
    court = Court()
    court.hear(found(CUT), seconds=3)
    assert opened(court.hear(found(UNEVEN, 0.9, "w7"), seconds=179)) == []
    assert opened(court.hear(found(UNEVEN, 0.9, "w7"), seconds=5)) == [UNEVEN]


def test_what_was_open_before_its_cause_was_found_is_not_taken_back_by_the_aftermath() -> None:
    court = Court()
    court.hear(found(UNEVEN, 0.9, "w7"), seconds=3)
    court.hear(found(UNEVEN, 0.9, "w7"), found(CUT), seconds=3)
    assert court.hear(found(UNEVEN, 0.9, "w7"), seconds=60)[-1].pattern is CUT
    assert [verdict.pattern for verdict in court.arbiter.open_verdicts()] == [UNEVEN]


def test_a_moment_of_doubt_that_opened_nothing_has_no_aftermath() -> None:
    court = Court()
    court.hear(found(CUT))
    assert opened(court.hear(found(UNEVEN, 0.9, "w7"), seconds=2)) == [UNEVEN]


def test_a_further_source_is_news_at_once_one_less_only_after_a_while() -> None:
    court = Court()
    court.hear(found(LOST, 0.9, "w1"), seconds=3)
    assert [v.sources for v in court.hear(found(LOST, 0.9, "w1", "w2"))] == [("w1", "w2")]
    assert court.hear(found(LOST, 0.9, "w2"), seconds=9) == []
    assert [v.sources for v in court.hear(found(LOST, 0.9, "w2"))] == [("w2",)]


def test_a_loaded_arbiter_continues_identically() -> None:
    court = Court()
    court.hear(found(CUT, 0.9, "w1", explains=frozenset({"w1"})), found(LOST, 0.4), seconds=3)
    other = Court()
    other.now = court.now
    other.arbiter.load(json.loads(json.dumps(court.arbiter.dump())))
    for findings in ([found(UNEVEN, 0.9, "w7")], [], [found(LOST, 0.9, "w3")]):
        assert other.hear(*findings, seconds=100) == court.hear(*findings, seconds=100)
