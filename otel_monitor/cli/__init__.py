"""The command line: `otel-monitor …`, the same as `python -m otel_monitor …`.

A command is a module here that ends in a `COMMAND`; the table below is all that knows them.
Exit codes: 0 good, 1 the thing asked about is bad, 2 wrong usage, 128 + N ended by signal N.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import metadata

from otel_monitor.cli import alerts, demo, replay, rules
from otel_monitor.errors import OtelMonitorError

COMMANDS = (alerts.COMMAND, demo.COMMAND, replay.COMMAND, rules.COMMAND)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit code."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.run is None:
        parser.print_help(sys.stderr)
        return 2
    try:
        return int(given.run(given))
    except OtelMonitorError as error:
        sys.stderr.write(f"otel-monitor: {error}\n")
        return 1
    except BrokenPipeError:
        sys.stderr.close()  # who read our output has gone; the interpreter would complain about it at exit
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="otel-monitor", description="Observability for orchestrators and workers, with alerts before export."
    )
    parser.add_argument("--version", action=_ShowVersion)
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for command in COMMANDS:
        added = commands.add_parser(command.name, help=command.summary, description=command.summary)
        command.add_arguments(added)
        added.set_defaults(run=command.run)
    return parser


class _ShowVersion(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help="show the version and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"otel-monitor {metadata.version('otel-monitor')}")
        parser.exit()
