"""Matchers are Alertmanager's, and no regular expression can take for ever."""

from __future__ import annotations

import time

import pytest

from otel_monitor_processors.alerts.matcher import (
    MAX_VALUE,
    Matcher,
    MatcherError,
    Operator,
    all_match,
    label_view,
    parse_matcher,
    parse_matchers,
)
from otel_monitor_processors.alerts.rule import Severity
from tests.alerts.timeline import alert


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("a=b", "b", True),
        ("a=b", "bb", False),
        ("a!=b", "c", True),
        ("a!=b", "b", False),
        ("a=~b|c", "c", True),
        ("a=~b", "abc", False),
        ("a=~.*b.*", "abc", True),
        ("a=~b|bc", "bc", True),
        ("a!~b.*", "bc", False),
        ("a!~b.*", "abc", True),
        ("a=~(?i)SHOP-[0-9]+", "shop-12", True),
        ("a=~.+", "two\nlines", True),
    ],
)
def test_a_regular_expression_has_to_match_the_whole_value(text: str, value: str, expected: bool) -> None:
    assert parse_matcher(text).matches({"a": value}) is expected


@pytest.mark.parametrize(("text", "expected"), [("a=", True), ("a!=b", True), ("a=~.*", True), ("a=b", False)])
def test_a_label_that_is_not_there_is_as_good_as_an_empty_one(text: str, expected: bool) -> None:
    assert parse_matcher(text).matches({"other": "x"}) is expected


def test_several_matchers_have_to_match_all() -> None:
    matchers = parse_matchers('{service="shop, main", severity=~"critical|emergency"}')
    assert all_match(matchers, {"service": "shop, main", "severity": "critical"})
    assert not all_match(matchers, {"service": "shop, main", "severity": "warning"})


@pytest.mark.parametrize(
    "matcher",
    [
        Matcher("service.name", Operator.EQUAL, 'a "quoted" \\ word, and more'),
        Matcher("a", Operator.NO_MATCH, "x{2}|\\d+"),
        Matcher("a", Operator.UNEQUAL, "line\nline"),
        Matcher("a", Operator.EQUAL, ""),
    ],
    ids=str,
)
def test_what_a_matcher_is_written_as_is_read_as_the_same(matcher: Matcher) -> None:
    assert parse_matcher(str(matcher)) == matcher


@pytest.mark.parametrize("text", ["", "severity", "=x", "a==b", "a>b", 'a="b', "a=b}"])
def test_what_is_no_matcher_is_refused_with_what_is_expected(text: str) -> None:
    with pytest.raises(MatcherError, match="is no matcher: expected a name, one of = != =~ !~, and a value"):
        parse_matcher(text)


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(", "is no regular expression"),
        ("[[:alpha:]]", "is no regular expression"),
        ("(a+)+", "repeats a repetition"),
        ("(a*)*b", "repeats a repetition"),
        ("(a?){40}b", "repeats a repetition"),
        ("(a|aa)+", "repeats alternatives that begin alike|repeats a repetition"),
        ("([a-c]x|b)*", "repeats alternatives that begin alike"),
        ("(.|x)*y", "repeats alternatives that begin alike"),
        (r"(a)\1", "refers back to a group"),
        ("(?=a)b", "looks ahead or behind"),
        ("(?<!a)b", "looks ahead or behind"),
        ("a{2000}", "repeats more than 1000 times"),
        (".*a.*b.*c.*d.*", "unbounded repetitions"),
        ("x" * 1_001, "longer than 1000 characters"),
    ],
)
def test_a_pattern_that_may_take_for_ever_is_refused_with_the_reason(pattern: str, reason: str) -> None:
    with pytest.raises(MatcherError, match=reason):
        Matcher("a", Operator.MATCH, pattern)


@pytest.mark.parametrize("pattern", [".*x.*y.*z", "(foo|bar)+q", r"(\w\d)*q", "[a-z]*[a-y]*[a-x]*q", "(a|b|c)*q"])
def test_what_is_accepted_is_quick_on_the_worst_text(pattern: str) -> None:
    matcher = Matcher("a", Operator.MATCH, pattern)
    began = time.process_time()
    for value in ("a" * 300, "xy" * 150, "foobar" * 50, "a1" * 150):
        matcher.matches({"a": value})
    assert time.process_time() - began < 1.0


def test_a_value_that_is_far_too_long_does_not_match_a_pattern() -> None:
    assert not parse_matcher("a=~x*").matches({"a": "x" * (MAX_VALUE + 1)})


def test_matchers_see_an_alert_by_its_labels_and_its_own_fields() -> None:
    item = alert("high_cpu", severity=Severity.CRITICAL, metric="cpu_usage", labels={"instance": "w1", "severity": "x"})
    assert label_view(item) == {
        "alertname": "high_cpu",
        "instance": "w1",
        "metric": "cpu_usage",
        "rule": "high_cpu",
        "severity": "critical",
    }
