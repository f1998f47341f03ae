"""`otel-monitor demo`: break a small fleet and see the alert."""

from __future__ import annotations

import argparse
import asyncio
import difflib
import json
import math
import os
import shutil
import signal
import sys
from typing import TYPE_CHECKING

from otel_monitor.cli.command import Command
from otel_monitor.demo.fault_names import FaultName

if TYPE_CHECKING:
    from otel_monitor.demo.scenario import Options, Outcome, View

_DEFAULT_SECONDS = 40.0
_FILE_WIDTH = 1000
_SECONDS = (10.0, 600.0)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "fault",
        nargs="?",
        default=FaultName.KILL9,
        type=_fault,
        metavar="FAULT",
        help=f"one of {', '.join(FaultName)} (default: %(default)s)",
    )
    parser.add_argument(
        "--seconds",
        type=_seconds,
        default=_DEFAULT_SECONDS,
        metavar="N",
        help="length of baseline, fault and recovery together, after the programs have started (default: %(default)g)",
    )
    parser.add_argument("--keep", action="store_true", help="keep the programs' output and database, and say where")
    parser.add_argument("--output", choices=("human", "json"), default="human", help="default: %(default)s")


def _run(arguments: argparse.Namespace) -> int:
    from otel_monitor.demo.report import Style, kept, table, to_json
    from otel_monitor.demo.scenario import Options
    from otel_monitor.demo.view import LiveView, PlainView, is_live

    as_json = arguments.output == "json"
    live = not as_json and is_live(sys.stdout)
    style = Style(colour=live and not os.environ.get("NO_COLOR"))
    view: View = LiveView(sys.stdout, style) if live else PlainView(sys.stderr if as_json else sys.stdout)
    options = Options(fault=arguments.fault, seconds=arguments.seconds, keep=arguments.keep)
    try:
        outcome, ended_by = asyncio.run(_play(options, view))
    finally:
        view.close()
    if outcome is None:
        sys.stderr.write("otel-monitor: interrupted; every process of the demo has ended\n")
        return 128 + ended_by
    if as_json:
        print(json.dumps(to_json(outcome)))
        sys.stderr.write(kept(outcome))
    else:
        print(table(outcome, style, _width()) + kept(outcome))
    return 0 if outcome.as_expected else 1


async def _play(options: Options, view: View) -> tuple[Outcome | None, int]:
    """The outcome, or None and the number of the signal that ended the run early."""
    from otel_monitor.demo.scenario import Scenario

    run = asyncio.create_task(Scenario(options, view).run())
    received: list[int] = []

    def interrupt(number: int) -> None:
        if not received:  # a second one must not disturb the clearing up
            received.append(number)
            run.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, interrupt, number)
    try:
        return await run, 0
    except asyncio.CancelledError:
        return None, received[0]


def _width() -> int:
    """Of the terminal; a file or a pipe gets long lines rather than broken ones."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else _FILE_WIDTH


def _fault(text: str) -> FaultName:
    try:
        return FaultName(text)
    except ValueError:
        near = difflib.get_close_matches(text, list(FaultName), n=1)
        hint = f" (did you mean '{near[0]}'?)" if near else ""
        raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join(FaultName)}{hint}") from None


def _seconds(text: str) -> float:
    low, high = _SECONDS
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not low <= seconds <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from {low:g} to {high:g}")
    return seconds


COMMAND = Command("demo", "Break a small fleet of unchanged programs, and see the alert.", _add_arguments, _run)
