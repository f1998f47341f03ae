"""Runs the tests of a rule file: what its alerts should be, and what they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from otel_monitor.testing.bench import RuleBench
from otel_monitor.testing.notation import text_of
from otel_monitor.testing.rule_file import Case, Check, Expected, RuleFile
from otel_monitor_processors.alerts.alert import Alert, State


@dataclass(frozen=True, slots=True)
class Failure:
    """A check that did not hold: lines of a diff, `-` what was expected, `+` what there was."""

    case: str
    check: Check
    diff: tuple[str, ...]


def run(file: RuleFile) -> list[Failure]:
    """Every check that does not hold."""
    return [failure for case in file.cases for failure in _run_case(file, case)]


def bench_of(file: RuleFile, case: Case) -> RuleBench:
    """The file's rules with the series of one of its tests."""
    bench = RuleBench(file.rules, file.evaluation_interval_s)
    for series, values in case.series:
        bench.add(series, values, case.interval_s)
    return bench


def _run_case(file: RuleFile, case: Case) -> Iterator[Failure]:
    bench = bench_of(file, case)
    descriptions = {rule.name: rule.description for rule in file.rules}
    for check in case.checks:
        alerts = [alert for alert in bench.run_until(check.eval_time_s) if alert.rule == check.alertname]
        diff = _diff(check, alerts, descriptions.get(check.alertname, ""))
        if diff:
            yield Failure(case.name, check, diff)


def _diff(check: Check, alerts: list[Alert], description: str) -> tuple[str, ...]:
    got = [alert for alert in alerts if check.all_states or alert.state is State.FIRING]
    missing = []
    for expected in check.alerts:
        found = next((alert for alert in got if _matches(expected, alert, description)), None)
        if found is None:
            missing.append(expected)
        else:
            got.remove(found)
    lines = [f"- {item.state} {_labels(item.labels)}{_annotations(item.annotations)}" for item in missing]
    named = {name for item in missing for name in item.annotations}
    lines += [
        f"+ {alert.state} {_labels(dict(alert.labels))}{_annotations(_said(alert, description), named)}"
        for alert in got
    ]
    return tuple(lines)


def _matches(expected: Expected, alert: Alert, description: str) -> bool:
    said = _said(alert, description)
    return (
        expected.state is alert.state
        and expected.labels == dict(alert.labels)
        and all(said.get(name) == text for name, text in expected.annotations.items())
    )


def _said(alert: Alert, description: str) -> dict[str, str]:
    return {"summary": alert.summary, "description": description, "severity": alert.severity.value}


def _labels(labels: dict[str, str]) -> str:
    return "{" + ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items())) + "}"


def _annotations(annotations: dict[str, str], named: Iterable[str] | None = None) -> str:
    shown = annotations if named is None else {name: annotations[name] for name in sorted(named) if name in annotations}
    return "".join(f" {name}: {text!r}" for name, text in shown.items())


def describe(failure: Failure) -> str:
    """A failed check for people."""
    check = failure.check
    head = f"    {failure.case}, {check.alertname} at {text_of(check.eval_time_s)}:"
    return "\n".join([head, *(f"      {line}" for line in failure.diff)])
