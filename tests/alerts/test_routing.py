"""Alerts find their channels down a tree of routes, and are grouped as their route says."""

from __future__ import annotations

from typing import Any

import pytest

from otel_monitor.errors import Problem
from otel_monitor.settings_alerts import ROUTES, root_route, unknown_channels
from otel_monitor_processors.alerts import grouping
from otel_monitor_processors.alerts.dispatcher import Dispatcher
from otel_monitor_processors.alerts.route import DEFAULT_ROUTE, Route, places
from otel_monitor_processors.alerts.rule import Severity
from tests.alerts.timeline import Timeline, told


def tree(*routes: Any) -> Route:
    return root_route(ROUTES.parse(list(routes)))


def channels(root: Route, **labels: str) -> list[tuple[str, ...] | None]:
    return [place.route.channels for place in places(root, labels)]


CRITICAL = {"matchers": ["severity=~critical|emergency"], "channels": ["pager"]}


def test_what_no_route_takes_goes_to_all_channels_with_the_defaults_of_alertmanager() -> None:
    assert channels(tree(CRITICAL), severity="warning") == [None]
    assert (DEFAULT_ROUTE.group_wait_s, DEFAULT_ROUTE.group_interval_s, DEFAULT_ROUTE.repeat_interval_s) == (
        30.0,
        300.0,
        14_400.0,
    )


def test_the_first_route_that_matches_takes_it() -> None:
    root = tree(CRITICAL, {"channels": ["mail"]})
    assert channels(root, severity="critical") == [("pager",)]
    assert channels(root, severity="info") == [("mail",)]


def test_a_route_that_continues_lets_the_next_ones_try() -> None:
    root = tree({**CRITICAL, "continue": True}, {"channels": ["mail"]}, {"channels": ["never"]})
    assert channels(root, severity="critical") == [("pager",), ("mail",)]


def test_the_deepest_route_takes_it_and_has_what_it_does_not_say_from_above() -> None:
    below = {"matchers": ["service=shop"], "group_wait": 1}
    (route,) = tree({**CRITICAL, "group_interval": 7, "routes": [below]}).routes
    (place,) = places(Route(routes=(route,)), {"severity": "critical", "service": "shop"})
    assert (place.route.channels, place.route.group_wait_s, place.route.group_interval_s) == (("pager",), 1.0, 7.0)


def test_a_route_is_the_same_place_when_others_come_before_it() -> None:
    before, after = tree(CRITICAL), tree({"matchers": ["service=x"], "channels": ["x"]}, CRITICAL)
    labels = {"severity": "critical"}
    assert places(before, labels)[0].path == places(after, labels)[0].path


def test_two_routes_with_the_same_matchers_are_two_places() -> None:
    root = tree({**CRITICAL, "continue": True}, {**CRITICAL, "channels": ["mail"]})
    assert len({place.path for place in places(root, {"severity": "critical"})}) == 2


def test_a_channel_that_is_not_enabled_is_passed_over() -> None:
    timeline = Timeline(lambda: Dispatcher(["mail"], tree({"channels": ["pager", "mail"], "group_wait": 0})))
    timeline.fire("r", at=0.0)
    assert [item.channel for item in timeline.until(1.0)] == ["mail"]


def test_without_any_channel_the_decision_says_so() -> None:
    timeline = Timeline(lambda: Dispatcher([]))
    fired = timeline.fire("r", at=0.0)
    timeline.until(100.0)
    assert timeline.dispatcher.decisions(fired.id)[-1].reason == "no channel of its route is enabled"


def test_channels_that_do_not_exist_are_named_with_a_suggestion() -> None:
    routes = ROUTES.parse([{"channels": ["mail"], "routes": [{"matchers": ["a=b"], "channels": ["pagr"]}]}])
    assert unknown_channels(routes, ["mail", "pager"]) == [
        Problem("routes.0.routes.0.channels.0", "no channel 'pagr'; expected: mail, pager (did you mean 'pager'?)")
    ]


@pytest.mark.parametrize(
    ("group_by", "groups"),
    [([], 1), (["rule"], 1), (["instance"], 2), (["instance", "zone"], 3), (["..."], 3), (["nothing"], 1)],
)
def test_alerts_that_agree_in_the_labels_of_group_by_are_told_together(group_by: list[str], groups: int) -> None:
    timeline = Timeline(lambda: Dispatcher(["a"], tree({"group_by": group_by, "group_wait": 1})))
    for instance, zone in (("w1", "x"), ("w1", "y"), ("w2", "x")):
        timeline.fire("r", at=0.0, labels={"instance": instance, "zone": zone})
    sent = timeline.until(2.0)
    assert len(sent) == groups
    assert sum(len(item.alerts) for item in sent) == 3


def test_a_group_says_what_its_alerts_have_in_common() -> None:
    timeline = Timeline(lambda: Dispatcher(["a"], tree({"group_by": ["zone", "rule"], "group_wait": 0})))
    timeline.fire("r", at=0.0, labels={"zone": "x"})
    (sent,) = timeline.until(1.0)
    assert sent.group_labels == (("rule", "r"), ("zone", "x"))


def test_when_there_are_too_many_groups_the_rest_share_one_so_that_nothing_goes_untold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(grouping, "_MAX_GROUPS", 3)
    timeline = Timeline(lambda: Dispatcher(["a"], tree({"group_by": ["..."], "group_wait": 1})))
    for index in range(8):
        timeline.fire(f"r{index}", at=0.0)
    sent = timeline.until(2.0)
    assert sorted(len(item.alerts) for item in sent) == [1, 1, 1, 5]
    assert timeline.dispatcher.dropped["groups"] == 5


def test_an_alert_whose_severity_rises_reaches_the_route_of_its_new_severity() -> None:
    root = tree({**CRITICAL, "group_wait": 0}, {"channels": ["mail"], "group_wait": 0})
    timeline = Timeline(lambda: Dispatcher(["mail", "pager"], root))
    fired = timeline.fire("r", at=0.0)
    timeline.until(1.0)
    timeline.fire("r", at=10.0, since=0.0, severity=Severity.CRITICAL)
    assert sorted((item.channel, item.at, item.reason) for item in timeline.until(11.0)) == [
        ("mail", 10.0, "severity changed"),
        ("pager", 10.0, "first"),
    ]
    timeline.resolve(fired, at=20.0)
    assert {item.channel: told(item)[3] for item in timeline.until(400.0)} == {"mail": ["r"], "pager": ["r"]}
