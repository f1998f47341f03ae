"""Whatever alerts and people do, receivers are told in order, nothing twice, and in the end that all is over."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from otel_monitor_processors.alerts.alert import Alert
from otel_monitor_processors.alerts.dispatcher import Dispatcher
from otel_monitor_processors.alerts.flapping import FlapPolicy
from otel_monitor_processors.alerts.inhibition import Inhibition
from otel_monitor_processors.alerts.matcher import Matcher, MatcherError, parse_matcher, parse_matchers
from otel_monitor_processors.alerts.notification import Notification
from otel_monitor_processors.alerts.rate_limit import RateLimit
from otel_monitor_processors.alerts.roster import ConflictError, UnknownAlertError
from otel_monitor_processors.alerts.route import Route
from otel_monitor_processors.alerts.rule import Severity
from tests.alerts.timeline import Timeline

ROUTE = Route(
    group_by=("zone",),
    group_wait_s=2.0,
    group_interval_s=10.0,
    repeat_interval_s=60.0,
    routes=(
        Route(
            matchers=parse_matchers("severity=critical"),
            channels=("pager",),
            group_by=("...",),
            group_wait_s=0.0,
            group_interval_s=5.0,
            repeat_interval_s=30.0,
            goes_on=True,
        ),
        Route(matchers=parse_matchers("rule=r3"), channels=("mail",), group_by=(), group_wait_s=7.0),
    ),
)
INHIBITIONS = (
    Inhibition(name="r1 is worse", source=parse_matchers("rule=r1"), target=parse_matchers("rule=r2"), equal=("zone",)),
)


def make() -> Dispatcher:
    return Dispatcher(
        ["mail", "pager"],
        ROUTE,
        inhibitions=INHIBITIONS,
        flapping=FlapPolicy(interval_s=20.0),
        rate_limits={"pager": RateLimit(3, 60.0)},
    )


KINDS = ("fire", "fire", "resolve", "resolve", "worse", "silence", "expire", "acknowledge", "withdraw", "by hand")
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(KINDS),
        st.sampled_from(["r1", "r2", "r3"]),
        st.sampled_from("xy"),
        st.sampled_from([0, 1, 4, 15]),
    ),
    max_size=40,
)
Event = tuple[str, str, str, int]


@dataclass
class Story:
    """Alerts, and people who deal with them."""

    timeline: Timeline
    alive: dict[tuple[str, str], Alert] = field(default_factory=dict)
    silences: list[str] = field(default_factory=list)

    def play(self, events: list[Event]) -> list[Notification]:
        for kind, rule, zone, wait in events:
            self.timeline.until(self.timeline.now + wait)
            self.happen(kind, rule, zone)
        for alive in list(self.alive.values()):
            self.timeline.resolve(alive)
        self.timeline.until(self.timeline.now + 20_000.0)
        return self.timeline.sent

    def happen(self, kind: str, rule: str, zone: str) -> None:
        timeline, key = self.timeline, (rule, zone)
        dispatcher, now = timeline.dispatcher, timeline.now
        if kind == "fire" and key not in self.alive:
            self.alive[key] = timeline.fire(rule, labels={"zone": zone})
        elif kind == "resolve" and key in self.alive:
            timeline.resolve(self.alive.pop(key))
        elif kind == "worse" and key in self.alive:
            since = self.alive[key].active_at
            self.alive[key] = timeline.fire(rule, since=since, labels={"zone": zone}, severity=Severity.CRITICAL)
        elif kind == "silence":
            self.silences.append(timeline.silence(f"rule={rule}", now, now + 40.0))
        elif kind == "expire" and self.silences:
            dispatcher.expire_silence(self.silences.pop(), now)
        elif kind in ("acknowledge", "withdraw", "by hand") and key in self.alive:
            self.deal_with(kind, self.alive[key], now)

    def deal_with(self, kind: str, alert: Alert, now: float) -> None:
        dispatcher = self.timeline.dispatcher
        try:
            if kind == "acknowledge":
                dispatcher.acknowledge(alert.fingerprint, "ann", now)
            elif kind == "withdraw":
                dispatcher.withdraw_acknowledgement(alert.fingerprint, now)
            else:
                dispatcher.resolve(alert.fingerprint, "ann", now)
        except (ConflictError, UnknownAlertError):
            pass  # resolved by hand before


@settings(max_examples=300, deadline=None)
@given(EVENTS)
def test_in_the_end_every_receiver_knows_that_all_is_over_and_nothing_is_left(events: list[Event]) -> None:
    story = Story(Timeline(make))
    sent = story.play(events)
    for channel in ("mail", "pager"):
        believed: set[tuple[str, str]] = set()
        numbers: dict[str, int] = {}
        for item in (item for item in sent if item.channel == channel):
            assert item.number == numbers.get(item.group_key, 0) + 1
            numbers[item.group_key] = item.number
            believed |= {(item.group_key, alert.fingerprint) for alert in item.firing}
            believed -= {(item.group_key, alert.fingerprint) for alert in item.resolved}
        assert believed == set()
    state = story.timeline.dispatcher.dump()
    assert (state["alerts"], state["groups"], state["pins"]) == ([], [], [])
    assert len({item.id for item in sent}) == len(sent)


@settings(max_examples=100, deadline=None)
@given(EVENTS)
def test_restarts_change_nothing(events: list[Event]) -> None:
    assert Story(Timeline(make, restarts=True)).play(events) == Story(Timeline(make)).play(events)


@settings(max_examples=100, deadline=None)
@given(EVENTS)
def test_a_limit_is_never_exceeded(events: list[Event]) -> None:
    sent = [
        item.at
        for item in Story(Timeline(make)).play(events)
        if item.channel == "pager" and item.reason != "acknowledged"
    ]
    for at in sent:
        assert sum(at <= other < at + 60.0 - 1e-6 for other in sent) <= 6  # a full bucket, and what flows in meanwhile


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet='ab=~!"\\(){}[]*+?|^$.,0 \n', max_size=20))
def test_whatever_is_written_is_a_matcher_or_refused(text: str) -> None:
    try:
        matcher = parse_matcher(text)
    except MatcherError:
        return
    assert isinstance(matcher, Matcher)
    assert parse_matcher(str(matcher)) == matcher
    matcher.matches({matcher.name: "a" * 50 + "b"})
