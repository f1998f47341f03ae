"""Unit tests of rules as files: promtool's YAML, with our rules in place of Prometheus'."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import voluptuous as v

from otel_monitor.detection import rules as rules_of
from otel_monitor.errors import ConfigurationError, OtelMonitorError, Problem
from otel_monitor.settings import Settings
from otel_monitor.settings_rules import RULES
from otel_monitor.settings_values import problems_of
from otel_monitor.testing.bench import RuleBench
from otel_monitor.testing.notation import seconds_of, series_of, text_of, values_of
from otel_monitor_processors.alerts.alert import Alert, State
from otel_monitor_processors.alerts.rule import Rule

T = TypeVar("T")
_DEFAULT_INTERVAL_S = 60.0


@dataclass(frozen=True, slots=True)
class Expected:
    """One alert that should be there, in the state `state`."""

    labels: dict[str, str]
    annotations: dict[str, str]
    state: State = State.FIRING


@dataclass(frozen=True, slots=True)
class Check:
    """What the alerts of one rule should be at one time; of those that are firing only, unless `all_states`."""

    eval_time_s: float
    alertname: str
    alerts: tuple[Expected, ...]
    all_states: bool


@dataclass(frozen=True, slots=True)
class Case:
    """One test: series in, checks in the order of time."""

    name: str
    interval_s: float
    series: tuple[tuple[str, str], ...]
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class RuleFile:
    """A file's rules and tests."""

    path: Path
    rules: tuple[Rule, ...]
    evaluation_interval_s: float
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """A check that did not hold: lines of a diff, `-` what was expected, `+` what there was."""

    case: str
    check: Check
    diff: tuple[str, ...]


def run(file: RuleFile) -> list[Failure]:
    """Every check that does not hold."""
    return [failure for case in file.cases for failure in _run_case(file, case)]


def _run_case(file: RuleFile, case: Case) -> Iterator[Failure]:
    bench = RuleBench(file.rules, file.evaluation_interval_s)
    for series, values in case.series:
        bench.add(series, values, case.interval_s)
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


# -- reading --------------------------------------------------------------------------------------------


def load(path: Path) -> RuleFile:
    """Read a file of tests, YAML or JSON.

    Raises:
        ConfigurationError: with every problem of it at once.
        OtelMonitorError: it cannot be read, or PyYAML is missing.
    """
    document = _read(path)
    problems: list[Problem] = []
    try:
        document = _FILE(document)
    except v.Invalid as error:
        errors = error.errors if isinstance(error, v.MultipleInvalid) else [error]
        problems += [Problem(_path(item.path), item.msg, str(path)) for item in errors]
    rules = _rules(path, document, problems) if isinstance(document, dict) else ()
    if not problems:
        problems += _unknown_rules(path, document, {rule.name for rule in rules})
    if problems:
        raise ConfigurationError(problems)
    interval_s = document["evaluation_interval"]
    cases = tuple(_case(number, raw, interval_s) for number, raw in enumerate(document["tests"], 1))
    return RuleFile(path, rules, interval_s, cases)


def _read(path: Path) -> Any:
    try:
        import yaml
    except ImportError:
        raise OtelMonitorError("rules test reads YAML: pip install 'otel-monitor[rules-test]'") from None
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OtelMonitorError(f"cannot read {path}: {error.strerror or error}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise OtelMonitorError(f"{path} is not YAML: {error}") from None


def _rules(path: Path, document: dict[str, Any], problems: list[Problem]) -> tuple[Rule, ...]:
    config, inline = document.get("config"), document.get("alert_rules")
    if config is None and inline is None:
        problems.append(Problem("config", "required, or alert_rules: the rules to be tested", str(path)))
        return ()
    try:
        settings = Settings.from_file(path.parent / config) if isinstance(config, str) else Settings()
    except ConfigurationError as error:
        problems += error.problems
        return ()
    rules = {rule.name: rule for rule in rules_of(settings)}
    if inline is not None:
        try:
            rules |= RULES.parse(inline)
        except v.Invalid as error:
            problems += problems_of(error, "alert_rules", str(path))
    return tuple(rules.values())


def _unknown_rules(path: Path, document: dict[str, Any], names: set[str]) -> Iterator[Problem]:
    from otel_monitor.settings_values import nearest

    for number, case in enumerate(document["tests"]):
        for place, check in enumerate(case["alert_rule_test"]):
            name = check["alertname"]
            if name not in names:
                where = f"tests[{number}].alert_rule_test[{place}].alertname"
                yield Problem(where, f"there is no rule {name!r}{nearest(name, names)}", str(path))


def _case(number: int, raw: dict[str, Any], interval_s: float) -> Case:
    checks = sorted((_check(item) for item in raw["alert_rule_test"]), key=lambda check: check.eval_time_s)
    return Case(
        raw.get("name") or f"test {number}",
        raw.get("interval", interval_s),
        tuple((item["series"], item["values"]) for item in raw["input_series"]),
        tuple(checks),
    )


def _check(raw: dict[str, Any]) -> Check:
    alerts = tuple(
        Expected(item["exp_labels"], item["exp_annotations"], State(item.get("state", State.FIRING)))
        for item in raw["exp_alerts"]
    )
    return Check(raw["eval_time"], raw["alertname"], alerts, any("state" in item for item in raw["exp_alerts"]))


def describe(failure: Failure) -> str:
    """A failed check for people."""
    check = failure.check
    head = f"    {failure.case}, {check.alertname} at {text_of(check.eval_time_s)}:"
    return "\n".join([head, *(f"      {line}" for line in failure.diff)])


def _path(parts: Iterable[object]) -> str:
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "(top level)"


def _check_of(read: Callable[[Any], T], *, keep: bool = False) -> Callable[[Any], Any]:
    """A check by a reader that raises ValueError; what it reads, or with `keep` the text itself."""

    def check(raw: Any) -> Any:
        try:
            value = read(raw)
        except ValueError as error:
            raise v.Invalid(str(error)) from None
        return raw if keep else value

    return check


def _label_set(raw: Any) -> dict[str, str]:
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise v.Invalid(f"expected names and values, got {raw!r}")
    return {str(name): str(value) for name, value in raw.items() if name != "alertname"}


def _list_of(item: Any) -> Any:
    return v.Any(v.All(None, lambda _raw: []), [item])


def _values(raw: Any) -> str:
    text = str(raw)
    values_of(text)
    return text


def _promql(raw: Any) -> Any:
    if raw:
        raise v.Invalid("there is no PromQL here: test alerts with alert_rule_test")
    return raw


_DURATION = _check_of(seconds_of)
_INTERVAL = v.All(_DURATION, v.Range(min=0.001, msg="must be above 0"))
_EXPECTED = v.Schema(
    {
        v.Optional("exp_labels", default=dict): _label_set,
        v.Optional("exp_annotations", default=dict): _label_set,
        v.Optional("state"): v.Any(str(State.PENDING), str(State.FIRING), msg="expected pending or firing"),
    }
)
_CHECK = v.Schema(
    {
        v.Required("eval_time"): _DURATION,
        v.Required("alertname"): str,
        v.Optional("exp_alerts", default=list): _list_of(_EXPECTED),
    }
)
_INPUT = v.Schema(
    {
        v.Required("series"): v.All(str, _check_of(series_of, keep=True)),
        v.Required("values"): _check_of(_values),
    }
)
_CASE = v.Schema(
    {
        v.Optional("name"): str,
        v.Optional("interval"): _INTERVAL,
        v.Optional("input_series", default=list): _list_of(_INPUT),
        v.Optional("alert_rule_test", default=list): _list_of(_CHECK),
        v.Optional("promql_expr_test"): _promql,
    }
)
_FILE = v.Schema(
    {
        v.Optional("config"): str,
        v.Optional("alert_rules"): dict,
        v.Optional("evaluation_interval", default=_DEFAULT_INTERVAL_S): _INTERVAL,
        v.Optional("tests", default=list): _list_of(_CASE),
    }
)
