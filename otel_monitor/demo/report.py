"""How the outcome is told: a table for people, an object for programs."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

from otel_monitor.demo.episodes import Episode, episodes, sightings
from otel_monitor.demo.fault_names import FaultName
from otel_monitor.demo.receiver import Signal
from otel_monitor.demo.scenario import Outcome
from otel_monitor.demo.system_view import WHOLE_SYSTEM
from otel_monitor.demo.telemetry import AlertEvent, VerdictEvent

_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
_NAME_WIDTH = 15
COUNTED = {Signal.TRACES: "spans", Signal.METRICS: "metric points", Signal.LOGS: "log records"}
"""What the requests of each signal carry."""


class Style:
    """Colours, where the terminal has them."""

    def __init__(self, *, colour: bool) -> None:
        self._colour = colour

    def bold(self, text: str) -> str:
        return self._paint("1", text)

    def dim(self, text: str) -> str:
        return self._paint("2", text)

    def good(self, text: str) -> str:
        return self._paint("32", text)

    def warn(self, text: str) -> str:
        return self._paint("33", text)

    def bad(self, text: str) -> str:
        return self._paint("31", text)

    def severity(self, severity: str, text: str) -> str:
        return self.bad(text) if severity in {"critical", "emergency"} else self.warn(text)

    def cut(self, text: str, width: int) -> str:
        """The text, not wider than `width`; what is cut off loses its colour too."""
        if len(_ESCAPE.sub("", text)) <= width:
            return text
        return _ESCAPE.sub("", text)[: max(0, width - 1)] + "…"

    def wrap(self, text: str, width: int, indent: int) -> list[str]:
        """The text in lines not wider than `width`, all but the first indented."""
        lines, rest = [], text
        while len(_ESCAPE.sub("", rest)) > width and (space := rest.rfind(" ", indent + 1, width)) > 0:
            lines.append(rest[:space])
            rest = " " * indent + rest[space + 1 :]
        return [*lines, rest]

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text


def to_json(outcome: Outcome) -> dict[str, Any]:
    """The object of `--output json`. Times are unix seconds, delays run from the injection."""
    return {
        "fault": str(outcome.fault),
        "injected_at": outcome.injected_at,
        "alerts": [
            {
                "rule": alert.rule,
                "pattern": alert.pattern,
                "severity": alert.severity,
                "state": alert.state,
                "at": alert.at,
                "delay_s": _delay(alert, outcome.injected_at),
                "summary": alert.summary,
            }
            for alert in outcome.alerts
        ],
        "expected": str(outcome.expected) if outcome.expected is not None else None,
        "verdicts": [
            {
                "reporter": verdict.reporter,
                "pattern": verdict.pattern,
                "scope": verdict.scope,
                "state": verdict.state,
                "at": verdict.at,
                "delay_s": _delay(verdict, outcome.injected_at),
                "confidence": verdict.confidence,
                "sources": list(verdict.sources),
                "root": verdict.root,
                "summary": verdict.summary,
            }
            for verdict in outcome.verdicts
        ],
    }


def table(outcome: Outcome, style: Style, width: int) -> str:
    """The end of a run for people: the first alert, then all of them."""
    rows = [("fault", f"{outcome.fault}: {outcome.title}")]
    if outcome.injected_at is not None:
        rows.append(("injected at", clock(outcome.injected_at)))
    rows += _alert_rows(outcome, style)
    rows += _verdict_row(outcome, style)
    rows.append(("received", _received(outcome, style)))
    rows += [("not understood", style.warn(text)) for text in outcome.complaints]
    if outcome.forwarding:
        rows.append(("forwarded", outcome.forwarding))
    lines = [""]
    for name, text in rows:
        lines += style.wrap(f"  {style.dim(f'{name:13}')}{text}", width, indent=_NAME_WIDTH)
    lines.append("")
    lines += _seen(outcome, style, width)
    happened = episodes(outcome.alerts)
    if happened:
        lines.append(style.bold("  all alerts"))
        for episode in happened:
            line = episode_line(episode, outcome.injected_at, outcome.healed_at, style)
            lines += style.wrap(line, width, indent=4)
        lines.append("")
    return "\n".join(lines)


def kept(outcome: Outcome) -> str:
    """Where the files of a run are that was to be kept."""
    if outcome.kept is None:
        return ""
    return f"  kept: {outcome.kept} (the programs' output, their database and configuration)\n"


def episode_line(episode: Episode, injected_at: float | None, healed_at: float | None, style: Style) -> str:
    """One alert on one line: when, how bad, which rule, what became of it, who says so, why."""
    fired, resolved = episode.fired, episode.resolved
    ending = "firing" if resolved is None else f"resolved {when(resolved, injected_at)}"
    head = f"{when(fired, injected_at):>8}  {fired.severity:9} {fired.rule:22} {ending:18}"
    head = style.severity(fired.severity, head) if resolved is None else style.good(head)
    return f"{head} {fired.reporter}: {episode.text(healed_at)}"


def when(event: AlertEvent | VerdictEvent, injected_at: float | None) -> str:
    """Seconds since the injection, or the time of day where there was none."""
    delay_s = _delay(event, injected_at)
    return clock(event.at) if delay_s is None else f"{delay_s:+.1f} s"


def clock(at: float) -> str:
    """Local time of day, to a tenth of a second."""
    return dt.datetime.fromtimestamp(at).astimezone().strftime("%H:%M:%S.%f")[:-5]


def _seen(outcome: Outcome, style: Style, width: int) -> list[str]:
    """Which patterns the engine over the whole system saw, and which the engines inside the programs."""
    found = sightings(outcome.verdicts)
    if not found:
        return []
    found.sort(key=lambda sighting: (sighting.opened.reporter != WHOLE_SYSTEM, sighting.opened.at))
    lines = [style.bold("  what each saw")]
    for sighting in found:
        opened, last = sighting.opened, sighting.at(outcome.healed_at)
        after = when(opened, outcome.injected_at)
        head = f"{after:>8}  {opened.reporter:13} {opened.pattern:22} {last.confidence:4.2f}  "
        lines += style.wrap(f"{head}{last.summary}", width, indent=4)
    return [*lines, ""]


def _verdict_row(outcome: Outcome, style: Style) -> list[tuple[str, str]]:
    """Whether the engine over the whole system has recognised what was broken."""
    if outcome.expected is None:
        return []
    injected_at = outcome.injected_at or 0.0
    for sighting in sightings(outcome.verdicts):
        opened = sighting.opened
        if opened.reporter == WHOLE_SYSTEM and opened.pattern == outcome.expected and opened.at >= injected_at:
            after = _delay(opened, outcome.injected_at) or 0.0
            return [("verdict", style.good(f"{opened.pattern} after {after:.1f} s, as it should be"))]
    return [("verdict", style.bad(f"not recognised as {outcome.expected}"))]


def _alert_rows(outcome: Outcome, style: Style) -> list[tuple[str, str]]:
    first = outcome.first_alert
    if outcome.fault is FaultName.NONE:
        if outcome.as_expected:
            return [("first alert", style.good("none, as it should be"))]
        return [("first alert", style.bad("nothing was broken, and yet an alert fired"))]
    if first is None:
        return [("first alert", style.bad("none: the fault went unnoticed"))]
    rows = [
        ("first alert", style.bold(f"after {_delay(first, outcome.injected_at) or 0.0:.1f} s")),
        ("severity", style.severity(first.severity, first.severity)),
        ("rule", first.rule),
        ("text", first.summary),
        ("reported by", first.reporter),
    ]
    if first.trace_id:
        rows.append(("trace", first.trace_id))
    return rows


def _received(outcome: Outcome, style: Style) -> str:
    if not any(outcome.received.values()):
        return style.bad("nothing: the programs' own output says why (--keep)")
    spans = ", ".join(f"{count} {name}" for name, count in list(outcome.spans.items())[:3])
    counts = outcome.received
    text = ", ".join(f"{counts[signal]} {name}" for signal, name in COUNTED.items())
    return f"{text} ({spans}, …)" if spans else text


def _delay(event: AlertEvent | VerdictEvent, injected_at: float | None) -> float | None:
    return None if injected_at is None else round(event.at - injected_at, 3)
