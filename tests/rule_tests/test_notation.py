"""promtool's notations, read as promtool reads them."""

from __future__ import annotations

import math

import pytest

from otel_monitor.testing.notation import Gap, Value, seconds_of, series_of, text_of, values_of


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1 2 3", [1.0, 2.0, 3.0]),
        ("-2+4x3", [-2.0, 2.0, 6.0, 10.0]),
        ("1-2x4", [1.0, -1.0, -3.0, -5.0, -7.0]),
        ("5x2", [5.0, 5.0, 5.0]),
        ("1 _ 2", [1.0, Gap.MISSING, 2.0]),
        ("_x3 1", [Gap.MISSING, Gap.MISSING, Gap.MISSING, 1.0]),
        ("1 stale", [1.0, Gap.STALE]),
        ("1e3 +Inf -Inf .5 INF", [1000.0, math.inf, -math.inf, 0.5, math.inf]),
        ("-2x3 1x5", [-2.0] * 4 + [1.0] * 6),
        ("1+1x10", [float(value) for value in range(1, 12)]),
        ("_x0 1x0", [1.0]),
        ("", []),
    ],
)
def test_values_are_expanded(text: str, values: list[Value]) -> None:
    assert values_of(text) == values


def test_nan_is_a_value() -> None:
    (value,) = values_of("NaN")
    assert isinstance(value, float)
    assert math.isnan(value)


@pytest.mark.parametrize(
    "text", ["one", "1x", "1+x2", "x3", "1x9999999", "{{schema:1}}", "Infx2", "1,2", "0x1F", "1_000"]
)
def test_what_is_no_value_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match=r"value"):
        values_of(text)


@pytest.mark.parametrize(
    ("text", "name", "labels"),
    [
        ("up", "up", ()),
        ('up{job="a", instance="b"}', "up", (("instance", "b"), ("job", "a"))),
        ('http.server.duration{http.route="/x{y}",}', "http.server.duration", (("http.route", "/x{y}"),)),
        ('{__name__="up",a="b"}', "up", (("a", "b"),)),
        ('m{"a b"="c\\"d\\\\e"}', "m", (("a b", 'c"d\\e'),)),
        ("up{job='a\"b',x=`\\n`}", "up", (("job", 'a"b'), ("x", "\\n"))),
        ('up{a="\\x41\\u00e9\\101\\n"}', "up", (("a", "A\u00e9A\n"),)),
        ('up{job=""}', "up", ()),
    ],
)
def test_series_have_a_name_and_labels(text: str, name: str, labels: tuple[tuple[str, str], ...]) -> None:
    assert series_of(text) == (name, labels)


@pytest.mark.parametrize(
    "text", ["", "{}", "up{job=a}", "up{job='a'\"}", 'up{a="b",a="c"}', 'up{a="\\q"}', 'up{="a"}', "a b"]
)
def test_what_is_no_series_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a (series|label)|names no metric|not a label's"):
        series_of(text)


@pytest.mark.parametrize(
    ("raw", "seconds"),
    [
        ("30s", 30.0),
        ("1y", 31_536_000.0),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("1d", 86400.0),
        ("500ms", 0.5),
        ("0", 0.0),
        (90, 90.0),
    ],
)
def test_durations_are_read(raw: object, seconds: float) -> None:
    assert seconds_of(raw) == seconds


@pytest.mark.parametrize("raw", ["", "5", "m", "5 minutes", -1, True, None, math.nan])
def test_what_is_no_duration_is_refused(raw: object) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        seconds_of(raw)


@pytest.mark.parametrize("text", ["30s", "5m", "1h30m", "1d", "500ms", "1m500ms"])
def test_a_duration_is_written_as_it_is_read(text: str) -> None:
    assert text_of(seconds_of(text)) == text
