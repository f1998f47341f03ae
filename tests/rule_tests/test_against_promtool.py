"""On the same series the real promtool and otel-monitor find the same alerts at every evaluation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from otel_monitor.testing import rule_file, rule_run
from otel_monitor.testing.notation import Gap, series_of, values_of
from tests.rule_tests import promtool

EVALUATIONS = 45


@pytest.mark.parametrize("interval", [15, 30, 60])
def test_random_rules_and_series_have_the_same_alerts(tmp_path: Path, interval: int) -> None:
    cases = list(promtool.cases(40, seed=interval))
    file = rule_file.load(_written(tmp_path, cases, interval, checks=[]))
    states = _states(file, interval)
    theirs = {"evaluation_interval": f"{interval}s", "tests": [_test(cases, interval, states, theirs=True)]}
    assert promtool.run(tmp_path, [case.theirs() for case in cases], theirs) == ""
    ours = _test(cases, interval, states, theirs=False)["alert_rule_test"]
    assert rule_run.run(rule_file.load(_written(tmp_path, cases, interval, checks=ours))) == []


def _written(folder: Path, cases: list[promtool.Case], interval: int, checks: list[Any]) -> Path:
    path = folder / "ours.yml"
    test = {**_series(cases, interval), "alert_rule_test": checks}
    rules = {case.name: case.ours() for case in cases}
    path.write_text(json.dumps({"evaluation_interval": f"{interval}s", "alert_rules": rules, "tests": [test]}))
    return path


def _series(cases: list[promtool.Case], interval: int) -> dict[str, Any]:
    series = [{"series": name, "values": values} for case in cases for name, values in case.series.items()]
    return {"interval": f"{interval}s", "input_series": series}


States = dict[tuple[str, int], list[tuple[str, dict[str, str]]]]


def _states(file: rule_file.RuleFile, interval: int) -> States:
    """What is pending and firing of each rule at each evaluation."""
    bench = rule_run.bench_of(file, file.cases[0])
    found: States = {}
    for at in range(0, interval * EVALUATIONS, interval):
        alerts = bench.run_until(at)
        for rule in file.rules:
            found[rule.name, at] = [(str(a.state), dict(a.labels)) for a in alerts if a.rule == rule.name]
    return found


def _test(cases: list[promtool.Case], interval: int, states: States, *, theirs: bool) -> dict[str, Any]:
    test = {**_series(cases, interval), "alert_rule_test": [], "promql_expr_test": []}
    for (rule, at), alerts in states.items():
        if not rule.startswith("m"):
            continue
        check: dict[str, Any] = {"eval_time": f"{at}s", "alertname": rule}
        shown = [(state, labels) for state, labels in alerts if state == "firing" or not theirs]
        check["exp_alerts"] = [
            {"exp_labels": labels} if theirs else {"exp_labels": labels, "state": state} for state, labels in shown
        ]
        test["alert_rule_test"].append(check)
        pending = [
            {"labels": _alerts_series({**labels, "alertname": rule, "alertstate": "pending"}), "value": 1}
            for state, labels in alerts
            if state == "pending"
        ]
        expression = f'ALERTS{{alertname="{rule}",alertstate="pending"}}'
        test["promql_expr_test"].append({"expr": expression, "eval_time": f"{at}s", "exp_samples": pending})
    return test


def _alerts_series(labels: dict[str, str]) -> str:
    return "ALERTS{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}"


WORDS = (
    *("1+1x10", "_", "_x3", "_x0", "1x5", "-2x3", "1-2x4", "-1-1x2", "+2x2", "0x3", "1.5e1x2", "1e-2+1e-1x3"),
    *(".5", "1E5", "007", "1.", "1 _ 2", "1x5 2", "1 stale 2", "5+0x2"),
)
REFUSED = ("1x", "x3", "1,2", "1+1", "Infx2", "NaNx2", "0x1F", "1_000", "_x", "stalex2", "--1", "1x2.5", "one")


def _parsed(folder: Path, series: str, values: str, expressions: list[Any]) -> str:
    test = {"interval": "1m", "input_series": [{"series": series, "values": values}], "promql_expr_test": expressions}
    return promtool.run(folder, [], {"evaluation_interval": "1m", "tests": [test]})


@pytest.mark.parametrize("text", WORDS)
def test_values_are_what_promtool_makes_of_them(tmp_path: Path, text: str) -> None:
    values = values_of(text)
    expected = [
        {
            "expr": "m" if value is Gap.STALE else "last_over_time(m[1s])",
            "eval_time": f"{minute}m",
            "exp_samples": [] if isinstance(value, Gap) else [{"labels": "m", "value": value}],
        }
        for minute, value in enumerate(values)
    ]
    assert _parsed(tmp_path, "m", text, expected) == ""


@pytest.mark.parametrize("text", REFUSED)
def test_what_promtool_refuses_as_a_value_is_refused(tmp_path: Path, text: str) -> None:
    assert "parse error" in _parsed(tmp_path, "m", text, [])
    with pytest.raises(ValueError, match="value"):
        values_of(text)


@pytest.mark.parametrize(
    "text",
    [
        "up",
        "up{}",
        "up{job='a'}",
        "up{job=`a\\n`}",
        'up{job="a",}',
        'up{ job = "a" }',
        '{__name__="up",a="b"}',
        'up{job="a\\"b\\x41\\u00e9\\101\\n"}',
        'up{a="}",b=","}',
        'up{a=""}',
    ],
)
def test_series_are_what_promtool_makes_of_them(tmp_path: Path, text: str) -> None:
    name, labels = series_of(text)
    pairs = [("__name__", name), *labels]
    quoted = ",".join(f"{label}={json.dumps(value)}" for label, value in pairs)
    expected = {"expr": '{__name__=~".+"}', "eval_time": "0m", "exp_samples": [{"labels": f"{{{quoted}}}", "value": 1}]}
    assert _parsed(tmp_path, text, "1", [expected]) == ""
