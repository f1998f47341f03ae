"""Unit tests of rules as files: promtool's YAML, with our rules in place of Prometheus'."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import voluptuous as v

from otel_monitor.detection import rules as rules_of
from otel_monitor.errors import ConfigurationError, Problem
from otel_monitor.settings import Settings
from otel_monitor.settings_rules import RULES
from otel_monitor.settings_shapes import fields, listed
from otel_monitor.settings_values import choice, nearest, text
from otel_monitor.testing import yaml_source
from otel_monitor.testing.notation import seconds_of, series_of, values_of
from otel_monitor.testing.yaml_source import YamlSource
from otel_monitor_processors.alerts.alert import State
from otel_monitor_processors.alerts.book import NO_DATA, RULE_FAILED
from otel_monitor_processors.alerts.rule import Rule

T = TypeVar("T")
Check_ = Callable[[Any], Any]
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


def load(path: Path) -> RuleFile:
    """Read a file of tests, YAML or JSON.

    Raises:
        ConfigurationError: with every problem of it at once.
        OtelMonitorError: it cannot be read, or PyYAML is missing.
    """
    source = yaml_source.read(path)
    problems = list(source.given_twice())
    document: dict[str, Any] = {}
    try:
        document = _file(source.document)
    except v.Invalid as error:
        problems += _problems(source, error)
    rules = _rules(source, problems) if isinstance(source.document, dict) else {}
    if not problems:
        problems += _unknown_rules(source, document, {*rules, NO_DATA.name, RULE_FAILED.name})
    if problems:
        raise ConfigurationError(problems)
    interval_s = document.get("evaluation_interval", _DEFAULT_INTERVAL_S)
    cases = tuple(_case(number, raw, interval_s) for number, raw in enumerate(document["tests"], 1))
    return RuleFile(path, tuple(rules.values()), interval_s, cases)


def _rules(source: YamlSource, problems: list[Problem]) -> dict[str, Rule]:
    """The rules to be tested by name, disabled ones included; problems are added to `problems`."""
    config, inline = source.document.get("config"), source.document.get("alert_rules")
    if config is None and inline is None:
        problems.append(source.problem(["config"], "required, or alert_rules: the rules to be tested"))
        return {}
    rules: dict[str, Rule] = {}
    try:
        settings = Settings.from_file(source.path.parent / config) if isinstance(config, str) else Settings()
        rules = {rule.name: rule for rule in rules_of(settings)} | dict(settings.alert_rules)
    except ConfigurationError as error:
        problems += [_of_config(source, problem) for problem in error.problems]
    if inline is not None:
        try:
            rules |= RULES.parse(inline)
        except v.Invalid as error:
            problems += _problems(source, error, "alert_rules")
    return rules


def _of_config(source: YamlSource, problem: Problem) -> Problem:
    """A problem of the configuration file; one that is not there is a problem of this one."""
    return problem if problem.origin else source.problem(["config"], problem.message)


def _problems(source: YamlSource, error: v.Invalid, *above: object) -> Iterator[Problem]:
    errors = error.errors if isinstance(error, v.MultipleInvalid) else [error]
    for one in errors:
        yield source.problem([*above, *one.path], one.msg)


def _unknown_rules(source: YamlSource, document: dict[str, Any], names: set[str]) -> Iterator[Problem]:
    for number, case in enumerate(document["tests"]):
        for place, check in enumerate(case.get("alert_rule_test", ())):
            name = check["alertname"]
            if name not in names:
                where = ["tests", number, "alert_rule_test", place, "alertname"]
                yield source.problem(where, f"there is no rule {name!r}{nearest(name, names)}")


def _case(number: int, raw: dict[str, Any], interval_s: float) -> Case:
    checks = sorted((_check(item) for item in raw.get("alert_rule_test", ())), key=lambda check: check.eval_time_s)
    return Case(
        raw.get("name") or f"test {number}",
        raw.get("interval", interval_s),
        tuple((item["series"], item["values"]) for item in raw.get("input_series", ())),
        tuple(checks),
    )


def _check(raw: dict[str, Any]) -> Check:
    alerts = raw.get("exp_alerts", ())
    expected = tuple(
        Expected(item.get("exp_labels", {}), item.get("exp_annotations", {}), State(item.get("state", State.FIRING)))
        for item in alerts
    )
    return Check(raw["eval_time"], raw["alertname"], expected, any("state" in item for item in alerts))


# -- the shape of a file --------------------------------------------------------------------------------


def _reads(read: Callable[[Any], T], *, keep: bool = False) -> Callable[[Any], Any]:
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
    labels = {str(name): _label_value(value) for name, value in raw.items() if name != "alertname"}
    return {name: value for name, value in labels.items() if value}  # an empty one is none


def _label_value(raw: Any) -> str:
    return str(raw).lower() if isinstance(raw, bool) else "" if raw is None else str(raw)


def _items(item: Check_) -> Check_:
    check = listed(item)
    return lambda raw: () if raw is None else check(raw)


def _values(raw: Any) -> str:
    written = str(raw)
    values_of(written)
    return written


def _interval(raw: Any) -> float:
    seconds = seconds_of(raw)
    if seconds < 0.001:
        raise ValueError(f"{raw!r} is not above 0")
    return seconds


def _promql(raw: Any) -> None:
    if raw:
        raise v.Invalid("there is no PromQL here: test alerts with alert_rule_test")


def _rule_files(_raw: Any) -> None:
    raise v.Invalid("rules of Prometheus are not read: name ours with config: FILE.json, or write them in alert_rules:")


def _as_it_is(raw: Any) -> Any:
    return raw


_expected = fields(
    {"exp_labels": _label_set, "exp_annotations": _label_set, "state": choice(State.PENDING, State.FIRING)}
)
_checked = fields(
    {"eval_time": _reads(seconds_of), "alertname": text, "exp_alerts": _items(_expected)},
    required=("eval_time", "alertname"),
)
_input = fields(
    {"series": lambda raw: _reads(series_of, keep=True)(text(raw)), "values": _reads(_values)},
    required=("series", "values"),
)
_test = fields(
    {
        "name": text,
        "interval": _reads(_interval),
        "input_series": _items(_input),
        "alert_rule_test": _items(_checked),
        "promql_expr_test": _promql,
    }
)
_file = fields(
    {
        "config": text,
        "alert_rules": _as_it_is,  # read with the settings' own shape
        "rule_files": _rule_files,
        "evaluation_interval": _reads(_interval),
        "tests": _items(_test),
    },
    required=("tests",),
)
