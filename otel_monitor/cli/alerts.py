"""`otel-monitor alerts`: what fires, why somebody was or was not told, and what people do about it."""

from __future__ import annotations

import argparse
import getpass
import json
import math
import os
import re
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import TYPE_CHECKING, Any

from otel_monitor.cli import trials
from otel_monitor.cli.command import Command

if TYPE_CHECKING:
    from otel_monitor.alerting.reception import Reception
    from otel_monitor.settings import Settings

Action = Callable[["Reception", argparse.Namespace], int]
SettingsAction = Callable[["Settings", argparse.Namespace], int]

_UNITS_S = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)")
_STATES = ("pending", "firing", "resolved")


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--config-file", metavar="F", help="the configuration file (default: the one that OTEL_MONITOR_CONFIG names)"
    )
    common.add_argument("--output", choices=("human", "json"), default="human", help="default: %(default)s")
    author = argparse.ArgumentParser(add_help=False)
    author.add_argument("--author", default=None, help="who says so (default: the user's name)")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)

    def bare(
        name: str, run: SettingsAction, meaning: str, *parents: argparse.ArgumentParser
    ) -> argparse.ArgumentParser:
        added = actions.add_parser(name, help=meaning, description=meaning, parents=[common, *parents])
        added.set_defaults(action=run)
        return added

    def action(name: str, run: Action, meaning: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        return bare(name, _at_the_store(run), meaning, *parents)

    listing = action("list", _list, "List alerts: those pending and firing, unless others are asked for.")
    listing.add_argument("--state", action="append", choices=_STATES, help="may be given several times")
    listing.add_argument("--limit", type=_count, default=100, metavar="N", help="default: %(default)s")
    one = argparse.ArgumentParser(add_help=False)
    one.add_argument("id", metavar="ID", help="of the alert, as list shows it; its beginning will do")
    action("show", _show, "Show one alert: its history, and why somebody was or was not told.", one)
    resolving = action(
        "resolve",
        _resolve,
        "Resolve an alert by hand; it stays so until its condition has been false once.",
        one,
        author,
    )
    resolving.add_argument("--for", dest="for_s", type=_duration, metavar="TIME", help="at most so long, such as 2h")
    taking = action("acknowledge", _acknowledge, "Take an alert on: nobody is told again before its end.", one, author)
    taking.add_argument("--comment", default="", help="what is done about it")
    taking.add_argument("--for", dest="for_s", type=_duration, metavar="TIME", help="at most so long, such as 2h")
    taking.add_argument("--withdraw", action="store_true", help="nobody is at work on it after all")
    silencing = action("silence", _silence, "Tell nobody of alerts that match, for some time.", author)
    silencing.add_argument(
        "matchers", nargs="*", metavar="MATCHER", help="such as rule=worker_lost or service=~'shop.*'"
    )
    silencing.add_argument("--for", dest="for_s", type=_duration, metavar="TIME", help="required, such as 30m, 2h, 1d")
    silencing.add_argument("--comment", default="", help="required: why")
    silencing.add_argument("--expire", metavar="ID", help="end this silence instead of adding one")
    action("silences", _silences, "List silences, also those that are over.")
    letters = action("dead-letters", _dead_letters, "List notifications that were given up.")
    letters.add_argument("--limit", type=_count, default=100, metavar="N", help="default: %(default)s")
    sending = action("resend", _resend, "Send notifications again that were given up.")
    sending.add_argument("numbers", nargs="*", type=int, metavar="NUMBER", help="as dead-letters lists them")
    sending.add_argument("--all", action="store_true", help="all of them")
    trying = bare("test", trials.run, "Send a test notification through channels, and say what becomes of it.")
    trying.add_argument("channels", nargs="*", metavar="CHANNEL", help="by name; without any, all of them")


def _run(arguments: argparse.Namespace) -> int:
    from otel_monitor.errors import ConfigurationError

    if "" not in sys.path:
        sys.path.insert(0, "")  # a channel may be a function of the program's
    try:
        return int(arguments.action(_settings(arguments.config_file), arguments))
    except ConfigurationError as error:
        for problem in error.problems:
            sys.stderr.write(f"otel-monitor: {problem}\n")
        return 2


def _at_the_store(run: Action) -> SettingsAction:
    """An action on the store of the settings."""

    def run_there(settings: Settings, arguments: argparse.Namespace) -> int:
        from otel_monitor.alerting.reception import AlertsError, Reception

        with closing(Reception(settings)) as reception:
            try:
                return run(reception, arguments)
            except AlertsError as error:
                sys.stderr.write(f"otel-monitor: {error}\n")
                return 2 if error.kind == "invalid" else 1

    return run_there


def _settings(config_file: str | None) -> Settings:
    from otel_monitor.settings import CONFIG_VARIABLE, Settings

    environ = dict(os.environ)
    if config_file is not None:
        environ[CONFIG_VARIABLE] = config_file
    return Settings.from_env(environ)


# -- looking ------------------------------------------------------------------------------------------------


def _list(reception: Reception, arguments: argparse.Namespace) -> int:
    from otel_monitor.alerting import tables
    from otel_monitor_processors.alerts.alert import State

    states = [State(name) for name in arguments.state or ("pending", "firing")]
    found = reception.alerts(states, arguments.limit)
    _print(arguments, lambda: tables.listed(found, states), {"items": [tables.listed_document(item) for item in found]})
    return 0


def _show(reception: Reception, arguments: argparse.Namespace) -> int:
    from otel_monitor.alerting import tables

    story = reception.story(arguments.id)
    _print(arguments, lambda: tables.story(story), tables.story_document(story))
    return 0


def _silences(reception: Reception, arguments: argparse.Namespace) -> int:
    from otel_monitor.alerting import tables

    now, found = time.time(), reception.silences()
    document = {"items": [tables.silence_document(silence, now) for silence in found]}
    _print(arguments, lambda: tables.silences(found, now), document)
    return 0


def _dead_letters(reception: Reception, arguments: argparse.Namespace) -> int:
    from otel_monitor.alerting import tables

    found = reception.dead_letters(arguments.limit)
    _print(arguments, lambda: tables.dead_letters(found), {"items": [tables.message_document(item) for item in found]})
    return 0


# -- doing --------------------------------------------------------------------------------------------------


def _resolve(reception: Reception, arguments: argparse.Namespace) -> int:
    answer = reception.resolve(arguments.id, _author(arguments), arguments.for_s)
    _print(
        arguments, lambda: [f"{arguments.id} is resolved, and stays so until its condition has been false once"], answer
    )
    return 0


def _acknowledge(reception: Reception, arguments: argparse.Namespace) -> int:
    if arguments.withdraw:
        answer = reception.withdraw(arguments.id)
        was = "is no longer acknowledged" if answer["ok"] else "was not acknowledged"
        _print(arguments, lambda: [f"{arguments.id} {was}"], answer)
        return 0 if answer["ok"] else 1
    until = None if arguments.for_s is None else time.time() + arguments.for_s
    author = _author(arguments)
    answer = reception.acknowledge(arguments.id, author, arguments.comment, until)
    _print(arguments, lambda: [f"{arguments.id} is acknowledged by {author}"], answer)
    return 0


def _silence(reception: Reception, arguments: argparse.Namespace) -> int:
    from otel_monitor.alerting.reception import AlertsError
    from otel_monitor_processors.alerts.matcher import MatcherError, parse_matcher
    from otel_monitor_processors.alerts.silence import Silence, SilenceError

    if arguments.expire is not None:
        answer = reception.expire(arguments.expire)
        _print(arguments, lambda: [f"silence {answer['id']} is over"], answer)
        return 0
    problems, matchers, now = [], [], time.time()
    for text in arguments.matchers:
        try:
            matchers.append(parse_matcher(text))
        except MatcherError as error:
            problems.append(str(error))
    if arguments.for_s is None:
        problems.append("--for: required, such as 2h")
    try:
        silence = Silence(
            matchers=tuple(matchers),
            starts_at=now,
            ends_at=now + (arguments.for_s or 1.0),
            author=_author(arguments),
            comment=arguments.comment,
        )
    except SilenceError as error:
        problems += [problem.replace("comment: required", "--comment: required") for problem in error.problems]
        raise AlertsError("; ".join(problems), "invalid") from None
    if problems:
        raise AlertsError("; ".join(problems), "invalid")
    answer = reception.silence(silence)
    _print(arguments, lambda: [f"silence {answer['id']} holds"], answer)
    return 0


def _resend(reception: Reception, arguments: argparse.Namespace) -> int:
    from otel_monitor.alerting.reception import AlertsError

    numbers = [message.seq for message in reception.dead_letters(-1)] if arguments.all else arguments.numbers
    if not numbers and not arguments.all:
        raise AlertsError("say which, by the numbers that dead-letters lists, or --all", "invalid")
    sent = reception.resend(numbers)
    missing = [number for number in numbers if number not in sent]
    for number in missing:
        sys.stderr.write(f"otel-monitor: there is no dead letter {number}\n")
    _print(arguments, lambda: [f"{len(sent)} sent again"], {"resent": sent, "unknown": missing})
    return 1 if missing else 0


def _print(arguments: argparse.Namespace, lines: Callable[[], Iterable[str]], document: dict[str, Any]) -> None:
    if arguments.output == "json":
        print(json.dumps(document))
        return
    for line in lines():
        print(line)


def _author(arguments: argparse.Namespace) -> str:
    if arguments.author is not None:
        return str(arguments.author)
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        return f"user {os.getuid()}"


def _duration(text: str) -> float:
    found = _DURATION.fullmatch(text.strip())
    seconds = float(found[1]) * _UNITS_S[found[2]] if found is not None else math.nan
    if not 0.0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 90s, 30m, 2h or 1d")
    return seconds


def _count(text: str) -> int:
    try:
        count = int(text)
    except ValueError:
        count = 0
    if count < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return count


COMMAND = Command(
    "alerts",
    "See alerts and why they were told or not; resolve, acknowledge, silence; test channels.",
    _add_arguments,
    _run,
)
