"""`otel-monitor rules test`: unit tests of alert rules, on virtual time."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from otel_monitor.cli.command import Command


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    test = actions.add_parser(
        "test", help="run the tests in files of promtool's form", description="Run tests of rules, on virtual time."
    )
    test.add_argument("files", nargs="+", type=Path, metavar="FILE", help="YAML: config or alert_rules, and tests")


def _run(arguments: argparse.Namespace) -> int:
    from otel_monitor.errors import ConfigurationError, OtelMonitorError
    from otel_monitor.testing import rule_file, rule_run

    good = True
    for path in arguments.files:
        try:
            file = rule_file.load(path)
        except ConfigurationError as error:
            for problem in error.problems:
                sys.stderr.write(f"otel-monitor: {problem}\n")
            good = False
            continue
        except OtelMonitorError as error:
            sys.stderr.write(f"otel-monitor: {error}\n")
            good = False
            continue
        failures = rule_run.run(file)
        checks = sum(len(case.checks) for case in file.cases)
        if failures:
            print(f"{path}: FAILED: {len(failures)} of {checks} checks (- expected, + got)")
            print("\n".join(rule_run.describe(failure) for failure in failures))
            good = False
        else:
            print(f"{path}: SUCCESS: {checks} checks")
    return 0 if good else 1


COMMAND = Command("rules", "Test alert rules on virtual time.", _add_arguments, _run)
