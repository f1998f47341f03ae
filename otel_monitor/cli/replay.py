"""`otel-monitor replay`: what recorded telemetry would have raised."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from typing import TYPE_CHECKING

from otel_monitor.cli.command import Command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_monitor.replay.lines import LineFile


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="OTLP JSON Lines, as the Collector's file exporter writes them, packed with gzip or not; - reads stdin",
    )
    parser.add_argument("--config-file", metavar="F", help="the configuration whose rules and patterns apply")
    parser.add_argument("--output", choices=("json",), default="json", help="one JSON object a line")
    parser.add_argument(
        "--confidence-every",
        type=_seconds,
        metavar="SECONDS",
        help="also print how probable each pattern is, every so many seconds of the recording",
    )


def _run(arguments: argparse.Namespace) -> int:
    from otel_monitor.detection import build_engine
    from otel_monitor.errors import ConfigurationError
    from otel_monitor.replay.ledger import Ledger
    from otel_monitor.replay.replay import replay
    from otel_monitor.settings import CONFIG_VARIABLE, Settings

    environ = dict(os.environ)
    if arguments.config_file is not None:
        environ[CONFIG_VARIABLE] = arguments.config_file
    try:
        settings = Settings.from_env(environ)
    except ConfigurationError as error:
        for problem in error.problems:
            _say(str(problem))
        return 2
    files = _opened(arguments.files)
    if not files:
        return 1
    for found in replay(files, build_engine(settings), Ledger(_say), arguments.confidence_every):
        print(json.dumps(found), flush=True)
    return 0 if len(files) == len(arguments.files) else 1


def _opened(paths: Sequence[str]) -> list[LineFile]:
    from otel_monitor.replay.lines import LineFile

    files = []
    for path in paths:
        try:
            files.append(LineFile(path))
        except OSError as error:
            _say(f"cannot read {path}: {error.strerror or error}")
    return files


def _say(text: str) -> None:
    sys.stderr.write(f"otel-monitor: {text}\n")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0.0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds


COMMAND = Command("replay", "What recorded telemetry would have raised, and why.", _add_arguments, _run)
