"""Cascading failures are recognised from failures that travel along calls, on virtual time."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

import pytest

from otel_monitor_processors.classification import Category
from otel_monitor_processors.engine import Engine, Transition, VerdictTransition
from otel_monitor_processors.observation import (
    DatabaseOperation,
    ErrorLog,
    Heartbeat,
    Link,
    Observation,
    Operation,
    OperationCount,
    Outcome,
)
from otel_monitor_processors.patterns.cascading_failures.detector import CascadingFailures
from otel_monitor_processors.patterns.finding import Gates
from otel_monitor_processors.patterns.verdict import Verdict, VerdictState

START = 1_700_000_000.0
FAILED = (Outcome.FAILED, Category.APPLICATION)
FINE = (Outcome.OK, None)
Answer = tuple[Outcome, Category | None]


class Shop:
    """Workers call `web`, which calls `stock`, which calls `prices`: a request a second, seen from all sides."""

    def __init__(self, gates: Gates | None = None, *, lateness_s: float = 0.0) -> None:
        self.engine = Engine((), [CascadingFailures(gates)], allowed_lateness_s=lateness_s)
        self.now = START
        self.lateness_s = lateness_s
        self.answers: dict[str, Answer] = {}
        self.gone: set[str] = set()
        self.more: Callable[[float], list[Observation]] = lambda at: []

    def second(self) -> list[Observation]:
        """What is observed of one request."""
        at = self.now + 0.1
        found: list[Observation] = []
        chain = ("prices", "stock", "web", "worker")
        for number, service in enumerate(chain):
            if service not in self.gone:
                outcome, category = self.answers.get(service, FINE)
                found.append(Operation(at, f"{service}-1", "work", outcome, 0.01, category, None, service))
            if number:
                callee = chain[number - 1]
                ok = callee not in self.gone
                category = Category.NETWORK if not ok else self.answers.get(callee, FINE)[1]
                found.append(Link(at, f"{service}-1", callee, ok, 0.01, category, None, service))
        return [*found, *self.more(at)]

    def run(self, seconds: int, shuffle: random.Random | None = None) -> list[Verdict]:
        verdicts: list[Verdict] = []
        for _ in range(seconds):
            batch = self.second()
            if shuffle is not None:
                shuffle.shuffle(batch)
            verdicts += _verdicts(self.engine.observe(batch))
            self.now += 1.0
            verdicts += _verdicts(self.engine.advance(self.now))
        return verdicts

    def fail(self, *services: str) -> None:
        self.answers = dict.fromkeys(services, FAILED)


def _verdicts(transitions: list[Transition]) -> list[Verdict]:
    return [t.verdict for t in transitions if isinstance(t, VerdictTransition)]


def _opened(verdicts: list[Verdict]) -> list[Verdict]:
    return [verdict for verdict in verdicts if verdict.state is VerdictState.OPENED]


# -- failures that spread ---------------------------------------------------------------------------------


def test_a_service_that_fails_its_callers_is_found_with_all_that_fail() -> None:
    shop = Shop()
    assert shop.run(300) == []
    shop.fail("prices", "stock", "web", "worker")
    since = shop.now
    found = shop.run(60)
    assert len(_opened(found)) == 1
    assert found[0].at - since <= 30.0
    assert (found[-1].root, set(found[-1].sources)) == ("prices", {"prices-1", "stock-1", "web-1", "worker-1"})
    assert shop.run(30) == []  # it stays open
    shop.answers.clear()
    assert [verdict.state for verdict in shop.run(120)] == [VerdictState.CLOSED]


def test_a_service_that_is_gone_fails_its_callers() -> None:
    shop = Shop()
    shop.run(300)
    shop.fail("stock", "web", "worker")
    shop.gone = {"prices"}
    found = shop.run(60)
    assert len(_opened(found)) == 1
    assert (found[-1].root, set(found[-1].sources)) == ("prices", {"stock-1", "web-1", "worker-1"})


def test_metrics_alone_show_the_spread() -> None:
    shop = Shop()

    def exports(at: float, failing: bool) -> list[Observation]:
        if int(at) % 10:
            return []
        category = Category.APPLICATION if failing else None
        return [OperationCount(at, f"{name}-1", "work", 10, 0.1, category, service=name) for name in ("stock", "web")]

    shop.second = lambda: exports(shop.now, False)  # type: ignore[method-assign]  # another system
    assert shop.run(300) == []
    shop.second = lambda: exports(shop.now, True)  # type: ignore[method-assign]  # which fails
    found = shop.run(60)
    assert set(found[-1].sources) == {"stock-1", "web-1"}


def test_logs_alone_show_the_spread() -> None:
    shop = Shop()
    shop.second = lambda: [Heartbeat(shop.now, "boss", "boss")]  # type: ignore[method-assign]  # another system
    assert shop.run(300) == []
    shop.second = lambda: [  # type: ignore[method-assign]  # which fails
        ErrorLog(shop.now, f"{name}-1", "TypeError", Category.APPLICATION, None, name) for name in ("api", "volume")
    ]
    assert set(shop.run(30)[-1].sources) == {"api-1", "volume-1"}


@pytest.mark.parametrize("services", [("worker",), ("web",), ("prices",)])
def test_one_service_that_fails_is_no_cascade(services: tuple[str, ...]) -> None:
    shop = Shop()
    shop.run(300)
    shop.fail(*services)
    assert shop.run(120) == []


def test_services_that_fail_the_same_caller_fail_together() -> None:
    shop = Shop()
    shop.run(300)
    shop.fail("prices", "stock")
    names = ("prices", "stock")
    shop.second = lambda: [  # type: ignore[method-assign]  # these two alone, and who calls both
        *(Operation(shop.now, f"{name}-1", "work", FAILED[0], 0.01, FAILED[1], None, name) for name in names),
        *(Link(shop.now, "gateway-1", name, True, 0.01, FAILED[1], None, "gateway") for name in names),
    ]
    found = shop.run(60)
    assert len(_opened(found)) == 1
    assert set(found[-1].sources) == {"prices-1", "stock-1"}


def test_services_that_fail_because_of_their_database_do_not_fail_each_other() -> None:
    shop = Shop()
    shop.run(300)
    shop.fail("prices", "stock", "web", "worker")
    shop.more = lambda at: [
        DatabaseOperation(at, "prices-1", "mysql", Outcome.FAILED, 1.0, Category.CONTENTION, service="prices")
    ]
    assert shop.run(120) == []


def test_what_is_over_in_some_seconds_is_none() -> None:
    shop = Shop()
    shop.run(300)
    shop.fail("prices", "stock", "web", "worker")
    found = shop.run(7)
    shop.answers.clear()
    assert found + shop.run(120) == []


def test_a_service_that_answers_some_and_is_not_reached_by_others_is_cut_off() -> None:
    shop = Shop()
    shop.run(300)
    shop.fail("stock", "web", "worker")
    shop.more = lambda at: [Link(at, "stock-1", "prices", False, 1.0, Category.TIMEOUT, None, "stock")] * 2
    assert shop.run(120) == []


def test_failures_that_were_always_there_are_none() -> None:
    shop = Shop()
    rng = random.Random(3)

    def stumble(at: float) -> list[Observation]:
        shop.answers = {name: FAILED for name in ("web", "worker", "stock") if rng.random() < 0.1}
        return []

    shop.more = stumble
    shop.run(600)
    assert shop.run(1200) == []


# -- state ------------------------------------------------------------------------------------------------


def test_a_dump_continues_identically() -> None:
    first, second = Shop(), Shop()
    first.run(300)
    second.run(300)
    for shop in (first, second):
        shop.fail("prices", "stock", "web", "worker")
        shop.run(5)
    state = second.engine.dump()
    second.engine = Engine((), [CascadingFailures()])
    second.engine.load(state)
    assert first.run(60) == second.run(60)
    assert json.loads(first.engine.dump())["detectors"] == json.loads(second.engine.dump())["detectors"]


def test_the_order_within_a_second_does_not_matter() -> None:
    shops = [Shop(), Shop()]
    found = []
    for shop, shuffle in zip(shops, (None, random.Random(5)), strict=True):
        shop.run(300, shuffle)
        shop.fail("prices", "stock", "web", "worker")
        found.append([(v.at, v.state, v.sources) for v in shop.run(60, shuffle)])
    assert found[0] == found[1]


def test_state_is_bounded() -> None:
    detector = CascadingFailures()
    engine = Engine((), [detector])
    for number in range(100_000):
        at = START + number / 1_000
        engine.observe([Link(at, "boss", f"w{number}", True, 0.1), Heartbeat(at, f"w{number}", "boss")])
        engine.observe([ErrorLog(at, f"w{number}", "KeyError", Category.APPLICATION, None, f"s{number}")])
    assert detector.dropped > 0
    assert len(engine.dump()) < 10_000_000


def test_gates_can_be_set_at_run_time() -> None:
    shop = Shop()
    shop.run(300)
    shop.engine.detectors[0].gates = Gates(enabled=False)
    shop.fail("prices", "stock", "web", "worker")
    assert shop.run(60) == []
