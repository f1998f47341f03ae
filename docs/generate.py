"""Writes the tables of the reference from the code that they describe.

    python docs/generate.py            writes them into the pages
    python docs/generate.py --check    exits 1 and names the pages whose tables are stale

A page holds a place for each table: a line `<!-- generated: NAME -->` and a line `<!-- end of generated -->`.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import inspect
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from otel_monitor import cli
from otel_monitor.instrumentation import arguments, roles
from otel_monitor.instrumentation.operation import Role, Side
from otel_monitor.settings import SETTINGS
from otel_monitor.telemetry.instruments import INSTRUMENTS, Kind
from otel_monitor_processors.alerts.defaults import Thresholds, default_rules
from otel_monitor_processors.measures import BUILT_IN

DOCS = Path(__file__).parent
_PLACE = re.compile(r"(<!-- generated: ([\w-]+) -->\n).*?(<!-- end of generated -->)", re.DOTALL)


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table. A pipe inside a cell is escaped."""
    head = list(header)
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def code(value: object) -> str:
    return f"`{value}`" if str(value) else ""


def default_of(value: Any) -> str:
    """A default as it would stand in the configuration file."""
    if value is None or (isinstance(value, (tuple, Mapping)) and not value):
        return "none"
    return code(json.dumps(value, default=_keys_of))


def _keys_of(policy: Any) -> dict[str, Any]:
    return {name.removesuffix("_s"): value for name, value in dataclasses.asdict(policy).items()}


def settings() -> str:
    """Every setting with its variable, type, default, unit and meaning."""
    return table(
        ("key", "environment variable", "type", "default", "unit", "meaning"),
        (
            (code(row.name), code(row.variable), row.value.type_name, default_of(row.default), row.unit, row.meaning)
            for row in SETTINGS
        ),
    )


def rules() -> str:
    """The rules that hold without configuration."""
    return table(
        ("rule", "about", "condition", "for", "severity", "meaning"),
        (
            (
                code(rule.name),
                code(rule.metric_name or ", ".join([f"{rule.pattern}", *(value for _, value in rule.attributes)])),
                code(f"{rule.comparison if rule.metric_name else 'confidence >='} {rule.limit:g}"),
                f"{rule.duration_s:g} s",
                rule.severity,
                rule.description,
            )
            for rule in default_rules(Thresholds())
        ),
    )


def built_in_metrics() -> str:
    """Metric names that rules may use beside those of OpenTelemetry metrics."""
    return table(("name", "value"), ((code(name), meaning) for name, meaning in BUILT_IN.items()))


def metrics() -> str:
    """Every metric that otel-monitor records."""
    return table(
        ("name", "instrument", "unit", "attributes", "meaning"),
        (
            (
                code(row.name),
                _INSTRUMENT_NAMES[row.kind],
                code(row.unit),
                ", ".join(code(name) for name in row.attributes),
                row.meaning,
            )
            for row in INSTRUMENTS
        ),
    )


_INSTRUMENT_NAMES = {
    Kind.HISTOGRAM: "Histogram",
    Kind.COUNTER: "Counter",
    Kind.OBSERVABLE_COUNTER: "Counter",
    Kind.OBSERVABLE_UP_DOWN_COUNTER: "UpDownCounter",
    Kind.OBSERVABLE_GAUGE: "Gauge",
}


def role_table() -> str:
    """How roles are recognised, and the spans that they make."""
    rows = [
        (pattern.role, [side for side in Side if side in pattern.sides], ", ".join(map(code, _alternatives(pattern))))
        for pattern in roles.PATTERNS
    ]
    rows.append((Role.OPERATION, list(Side), "every other public method"))
    return table(
        ("role", "method names", "span", "kind", "on"),
        (
            (
                code(role),
                names,
                code(roles.span_name_of(role, "{Class}.{method}", "{task}")),
                ", ".join(dict.fromkeys(roles.kind_of(role, side).name for side in sides)),
                ", ".join(sides),
            )
            for role, sides, names in rows
        ),
    )


def _alternatives(pattern: roles.Pattern) -> list[str]:
    """The alternatives of a regular expression, each by itself."""
    alternatives, depth = [""], 0
    for character in pattern.names.pattern:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "|" and not depth:
            alternatives.append("")
        else:
            alternatives[-1] += character
    return alternatives


def ids() -> str:
    """The names of arguments that mean something."""
    rows = (
        ("the worker", arguments.WORKER_NAMES),
        ("the task", arguments.TASK_NAMES),
        ("why it is assigned", arguments.REASON_NAMES),
        ("which attempt it is", arguments.ATTEMPT_NAMES),
        ("the trace's headers", arguments.CARRIER_NAMES),
    )
    return table(
        ("what", "the first argument named"),
        ((what, ", ".join(code(name) for name in names)) for what, names in rows),
    )


def commands() -> str:
    """What every command says of itself."""
    os.environ["COLUMNS"] = "100"
    sections = []
    for command in cli.COMMANDS:
        parser = argparse.ArgumentParser(prog=f"otel-monitor {command.name}", description=command.summary)
        command.add_arguments(parser)
        sections.append(f"## `otel-monitor {command.name}`\n\n```text\n{parser.format_help().strip()}\n```\n")
    return "\n".join(sections)


def public_names(module_name: str) -> Callable[[], str]:
    """The public names of a package, each with the first line of its docstring."""

    def rows() -> str:
        module = importlib.import_module(module_name)
        return table(
            ("name", "meaning"),
            ((code(name), (inspect.getdoc(getattr(module, name)) or "").partition("\n")[0]) for name in module.__all__),
        )

    return rows


TABLES: dict[str, Callable[[], str]] = {
    "settings": settings,
    "rules": rules,
    "built-in-metrics": built_in_metrics,
    "metrics": metrics,
    "ids": ids,
    "roles": role_table,
    "commands": commands,
    "names-otel-monitor": public_names("otel_monitor"),
    "names-otel-monitor-processors": public_names("otel_monitor_processors"),
}


def rendered(page: str) -> str:
    """The page with every table as the code has it now.

    Raises:
        KeyError: the page asks for a table that there is not.
    """
    return _PLACE.sub(lambda place: f"{place[1]}\n{TABLES[place[2]]()}\n{place[3]}", page)


def main() -> int:
    """Write the pages, or with `--check` compare them."""
    parser = argparse.ArgumentParser(description="Writes the tables of the reference from the code.")
    parser.add_argument("--check", action="store_true", help="write nothing, and exit 1 where a page is stale")
    check = parser.parse_args().check
    stale = []
    for path in sorted(DOCS.rglob("*.md")):
        page = path.read_text(encoding="utf-8")
        if (fresh := rendered(page)) != page:
            stale.append(path)
            if not check:
                path.write_text(fresh, encoding="utf-8")
    for path in stale:
        print(f"{path.relative_to(DOCS.parent)}: {'stale, run: make docs' if check else 'written'}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
