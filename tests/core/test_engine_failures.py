"""A detector that raises is reset or switched off, is told of, and takes none of the others with it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from otel_monitor_processors import Driver, guard
from otel_monitor_processors.engine import Engine, Transition, VerdictTransition
from otel_monitor_processors.observation import Change, Heartbeat, Membership, Operation, Outcome
from otel_monitor_processors.panel import FAILURES_ALLOWED, FAILURES_WITHIN_S
from otel_monitor_processors.patterns.catalogue import detectors
from otel_monitor_processors.patterns.finding import Detector, Finding, Gates, Interests
from otel_monitor_processors.patterns.verdict import Pattern
from otel_monitor_processors.tally import Tally
from tests.polling import eventually
from tests.replay.recordings import fleet, play

START = 1_700_000_000.0
PLACES = ("observation", "tally", "findings", "pause")


@pytest.fixture
def in_production() -> Iterator[None]:
    """Errors are swallowed, as in a user's program."""
    guard.reraise_errors(enabled=False)
    yield
    guard.reraise_errors(enabled=True)


class Broken:
    """A detector of load imbalance that raises in one place, whenever `is_due` says so."""

    pattern = Pattern.LOAD_IMBALANCE
    gates = Gates()

    def __init__(self, place: str, is_due: Callable[[], bool] = lambda: True) -> None:
        self.dropped = 0
        self.resets = 0
        self.seen = 0
        self._place = place
        self._is_due = is_due

    def interests(self) -> Interests:
        return {Heartbeat: lambda _beat: self._at("observation"), Tally: lambda _tally: self._at("tally")}

    def findings(self, now: float) -> Iterable[Finding]:
        self._at("findings")
        return iter(())

    def pause(self, gap_s: float) -> None:
        self._at("pause")

    def reset(self) -> None:
        self.resets += 1
        self._at("reset")

    def dump(self) -> dict[str, Any]:
        return {}

    def load(self, state: dict[str, Any]) -> None:
        """There is nothing."""

    def _at(self, place: str) -> None:
        self.seen += 1
        if place == self._place and self._is_due():
            raise KeyError(place)


def others() -> tuple[Detector, ...]:
    return tuple(one for one in detectors() if one.pattern is not Pattern.LOAD_IMBALANCE)


def drive(engine: Engine, seconds: int = 90) -> list[Transition]:
    """A fleet of three whose worker `w1` falls silent after 30 s."""
    transitions: list[Transition] = []
    for second in range(seconds):
        at = START + second
        alive = [name for name in ("w1", "w2", "w3") if name != "w1" or second < 30]
        transitions += engine.observe([Heartbeat(at, name, "o") for name in alive])
        transitions += engine.observe([Operation(at + 0.5, name, "process", Outcome.OK, 0.1) for name in alive])
        if second % 20 == 19:
            engine.pause(0.1)
    return transitions


def verdicts(transitions: list[Transition]) -> list[Any]:
    return [transition for transition in transitions if isinstance(transition, VerdictTransition)]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.usefixtures("in_production")
def test_the_other_detectors_find_what_they_would_have_found(place: str) -> None:
    alone, beside = Engine([], others()), Engine([], [Broken(place), *others()])
    expected = verdicts(drive(alone))
    assert expected
    assert verdicts(drive(beside)) == expected
    assert [failure.pattern for failure in beside.take_failures()] == [Pattern.LOAD_IMBALANCE] * (FAILURES_ALLOWED + 1)
    assert beside.take_failures() == []


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.usefixtures("in_production")
def test_it_starts_anew_and_is_switched_off_when_it_keeps_raising(place: str) -> None:
    broken = Broken(place)
    engine = Engine([], [broken])
    drive(engine)
    failures = engine.take_failures()
    assert [failure.switched_off for failure in failures] == [False] * FAILURES_ALLOWED + [True]
    assert broken.resets == FAILURES_ALLOWED
    seen = broken.seen
    drive(engine)
    assert broken.seen == seen


@pytest.mark.usefixtures("in_production")
def test_a_few_failures_far_apart_switch_nothing_off() -> None:
    due = [False]
    engine = Engine([], [Broken("observation", lambda: due[0])])
    for hours in range(20):
        at = START + hours * FAILURES_WITHIN_S / (FAILURES_ALLOWED - 1)
        due[0] = True
        engine.observe([Heartbeat(at, "w1", "o")])
        due[0] = False
        engine.observe([Heartbeat(at + 1.0, "w1", "o")])
    assert [failure.switched_off for failure in engine.take_failures()] == [False] * 20


@pytest.mark.usefixtures("in_production")
def test_one_that_cannot_even_be_reset_is_switched_off_at_once() -> None:
    class Hopeless(Broken):
        def reset(self) -> None:
            raise RuntimeError("no reset either")

    engine = Engine([], [Hopeless("findings")])
    drive(engine)
    (failure,) = engine.take_failures()
    assert failure.switched_off
    assert (
        str(failure)
        == "the detector of load_imbalance failed (KeyError: 'findings'); switched off, as it keeps failing"
    )


@pytest.mark.usefixtures("in_production")
def test_a_reset_engine_gives_it_another_chance_and_a_loaded_one_does_not() -> None:
    broken = Broken("observation")
    engine = Engine([], [broken])
    drive(engine)
    engine.take_failures()
    later = Engine([], [Broken("observation")])
    later.load(engine.dump())
    drive(later)
    assert later.take_failures() == []
    engine.reset()
    drive(engine)
    assert engine.take_failures()


def test_under_tests_the_error_comes_through() -> None:
    with pytest.raises(KeyError, match="tally"):
        drive(Engine([], [Broken("tally")]))


@pytest.mark.usefixtures("in_production")
def test_what_raises_but_is_no_detector_is_not_taken_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine([], others())
    with pytest.raises(TypeError):
        engine.observe([Heartbeat(START, None, "o"), Membership(START, ["w"], "o", Change.LOST)])  # type: ignore[arg-type]  # a list is no name
    assert engine.take_failures() == []


@pytest.mark.usefixtures("in_production")
def test_the_driver_reports_it_in_one_line_and_in_our_own_metrics(caplog: pytest.LogCaptureFixture) -> None:
    driver = Driver(Engine([], [Broken("observation"), *others()]))
    with caplog.at_level(logging.WARNING, "otel_monitor"):
        for _ in range(10):
            driver.observe(Heartbeat(driver.now(), "w1", "o"))
        eventually(lambda: "detector.load_imbalance.switched_off" in guard.error_counts())
        driver.stop()
    counts = guard.error_counts()
    assert counts["detector.load_imbalance"] >= FAILURES_ALLOWED
    named = [record.getMessage() for record in caplog.records if "detector.load_imbalance;" in record.getMessage()]
    assert len(named) == 1
    assert "KeyError: 'observation'" in named[0]


@pytest.mark.usefixtures("in_production")
def test_a_replay_names_it_once_and_reads_on(tmp_path: Path) -> None:
    engine = Engine(detectors=[Broken("findings"), *others()])
    played = play(tmp_path, fleet(60, lost="w1"), engine=engine)
    alone = play(tmp_path, fleet(60, lost="w1"), engine=Engine(detectors=others()))
    assert played.outputs == alone.outputs
    first = "the detector of load_imbalance failed (KeyError: 'findings'); it starts anew"
    assert played.said == [
        f"an internal error, everything else goes on: {first}",
        f"{FAILURES_ALLOWED + 1} times: an internal error in detector.load_imbalance",
    ]
