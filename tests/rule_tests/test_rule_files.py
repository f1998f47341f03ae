"""`otel-monitor rules test`: files of promtool's form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from otel_monitor.cli import main

RULES = """
evaluation_interval: 30s
alert_rules:
  slow: {metric_name: response_time, threshold: 5000, duration: 60, labels: {team: a}, description: too slow}
tests:
  - interval: 30s
    name: a slow worker
    input_series:
      - {series: 'response_time{instance="w1"}', values: "1000 6000x5 100x3"}
    alert_rule_test:
"""
SLOW = "exp_labels: {instance: w1, team: a}"


class Bench:
    """Writes files and runs the command on one."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._folder = folder
        self._capsys = capsys

    def write(self, name: str, text: str) -> Path:
        path = self._folder / name
        path.write_text(text)
        return path

    def run(self, text: str) -> tuple[int, str, str]:
        """The exit code and what was said, without the folder's name."""
        code = main(["rules", "test", str(self.write("tests.yml", text))])
        said = self._capsys.readouterr()
        return code, said.out.replace(f"{self._folder}/", ""), said.err.replace(f"{self._folder}/", "")


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Bench:
    return Bench(tmp_path, capsys)


def checks(*texts: str) -> str:
    return RULES + "".join(f"      - {text}\n" for text in texts)


def test_what_holds_is_a_success(bench: Bench) -> None:
    code, out, err = bench.run(
        checks(
            "{eval_time: 30s, alertname: slow}",
            f"{{eval_time: 2m, alertname: slow, exp_alerts: [{{{SLOW}}}]}}",
            "{eval_time: 4m, alertname: slow}",
        )
    )
    assert (code, out, err) == (0, "tests.yml: SUCCESS: 3 checks\n", "")


def test_what_does_not_hold_is_shown_as_a_diff(bench: Bench) -> None:
    code, out, _ = bench.run(
        checks(
            "{eval_time: 2m, alertname: slow, exp_alerts: [{exp_labels: {instance: w2, team: a}}]}",
            f"{{eval_time: 4m, alertname: slow, exp_alerts: [{{{SLOW}}}]}}",
        )
    )
    assert code == 1
    assert out.splitlines() == [
        "tests.yml: FAILED: 2 of 2 checks (- expected, + got)",
        "    a slow worker, slow at 2m:",
        '      - firing {instance="w2", team="a"}',
        '      + firing {instance="w1", team="a"}',
        "    a slow worker, slow at 4m:",
        '      - firing {instance="w1", team="a"}',
    ]


def test_without_states_the_list_is_of_those_that_fire(bench: Bench) -> None:
    code, out, _ = bench.run(checks("{eval_time: 1m, alertname: slow}"))
    assert code == 0, out


def test_with_a_state_the_list_is_complete_for_pending_and_firing(bench: Bench) -> None:
    pending = f"{{eval_time: 1m, alertname: slow, exp_alerts: [{{{SLOW}, state: pending}}]}}"
    assert bench.run(checks(pending))[0] == 0
    firing = f"{{eval_time: 1m, alertname: slow, exp_alerts: [{{{SLOW}, state: firing}}]}}"
    assert '+ pending {instance="w1", team="a"}' in bench.run(checks(firing))[1]


def test_annotations_that_are_named_must_agree(bench: Bench) -> None:
    said = f"exp_alerts: [{{{SLOW}, exp_annotations: {{description: too slow, severity: warning}}}}]"
    assert bench.run(checks(f"{{eval_time: 2m, alertname: slow, {said}}}"))[0] == 0
    code, out, _ = bench.run(checks(f"{{eval_time: 2m, alertname: slow, {said.replace('too slow', 'fine')}}}"))
    assert code == 1
    assert "description: 'fine'" in out
    assert "description: 'too slow'" in out


def test_rules_come_from_a_configuration_as_well(bench: Bench) -> None:
    rule = {"metric_name": "queue.depth", "threshold": 3, "severity": "critical"}
    bench.write("shop.json", json.dumps({"alert_rules": {"deep": rule}}))
    code, out, err = bench.run(
        """
        config: shop.json
        tests:
          - input_series: [{series: 'queue.depth{queue="q"}', values: "4x2"}]
            alert_rule_test:
              - {eval_time: 1m, alertname: deep, exp_alerts: [{exp_labels: {queue: q}}]}
              - {eval_time: 1m, alertname: high_cpu_usage}
        """
    )
    assert (code, err) == (0, ""), out


def test_every_error_of_a_file_is_said_at_once_with_its_place(bench: Bench) -> None:
    code, _, err = bench.run(
        """
        evaluation_interval: soon
        alert_rules:
          slow: {metric_name: response_time, threshold: high}
        tests:
          - input_series:
              - {series: 'up{job=a}', values: "1 two"}
            alert_rule_test:
              - {alertname: slow, exp_alerts: [{state: fireing}]}
            promql_expr_test: [{expr: up}]
            intervall: 1m
        """
    )
    assert code == 1
    assert err.splitlines() == [
        f"otel-monitor: tests.yml:{line}: {problem}"
        for line, problem in (
            (2, "evaluation_interval: 'soon' is not a duration: expected something like 30s, 5m or 1h30m"),
            (7, "tests[0].input_series[0].series: 'job=a' is not a label: expected label=\"value\""),
            (
                7,
                (
                    "tests[0].input_series[0].values: 'two' is not a value: "
                    "expected a number, a+bxn, a-bxn, axn, _, _xn or stale"
                ),
            ),
            (
                9,
                (
                    "tests[0].alert_rule_test[0].exp_alerts[0].state: 'fireing' is not one of pending, firing"
                    " (did you mean 'firing'?)"
                ),
            ),
            (9, "tests[0].alert_rule_test[0].eval_time: required"),
            (10, "tests[0].promql_expr_test: there is no PromQL here: test alerts with alert_rule_test"),
            (11, "tests[0].intervall: unknown key (did you mean 'interval'?)"),
            (4, "alert_rules.slow.threshold: expected a number, got 'high'"),
        )
    ]


def test_a_key_that_is_given_twice_is_named_with_its_line(bench: Bench) -> None:
    doubled = checks("{eval_time: 4m, alertname: slow}") + "    alert_rule_test: []\n"
    code, _, err = bench.run(doubled)
    assert (code, err) == (1, "otel-monitor: tests.yml:12: tests[0].alert_rule_test: given twice\n")


def test_rules_of_prometheus_are_not_read_and_what_to_do_is_said(bench: Bench) -> None:
    code, _, err = bench.run("rule_files: [rules.yml]\nconfig: shop.json\ntests: []\n")
    assert code == 1
    assert "tests.yml:1: rule_files: rules of Prometheus are not read: name ours with config: FILE.json" in err
    assert "tests.yml:2: config: cannot read" in err


def test_the_problems_of_a_configuration_are_said_with_those_of_the_tests(bench: Bench) -> None:
    bench.write("shop.json", json.dumps({"alert_rules": {"deep": {"metric_name": "m"}}, "routs": []}))
    code, _, err = bench.run("config: shop.json\ntests: [{interval: 0s}]\n")
    assert code == 1
    assert err.splitlines() == [
        "otel-monitor: tests.yml:2: tests[0].interval: '0s' is not above 0",
        "otel-monitor: shop.json: alert_rules.deep.threshold: required",
        "otel-monitor: shop.json: routs: unknown setting (did you mean 'routes'?)",
    ]


def test_a_rule_that_is_not_there_is_named_with_the_nearest_one(bench: Bench) -> None:
    code, _, err = bench.run(checks("{eval_time: 1m, alertname: slwo}"))
    assert code == 1
    assert "tests[0].alert_rule_test[0].alertname: there is no rule 'slwo' (did you mean 'slow'?)" in err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[", "is not YAML"),
        ("- 1", "tests.yml:1: (top level): expected an object, got [1]"),
        ("", "expected an object"),
    ],
)
def test_what_is_no_such_file_is_said(bench: Bench, text: str, said: str) -> None:
    code, _, err = bench.run(text)
    assert code == 1
    assert said in err


def test_a_missing_file_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "test", "/nowhere/tests.yml"]) == 1
    assert "cannot read /nowhere/tests.yml: No such file" in capsys.readouterr().err
