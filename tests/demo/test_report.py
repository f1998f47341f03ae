"""What the demo shows while it runs, and what it says in the end."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from otel_monitor.demo.fault_names import FaultName
from otel_monitor.demo.fleet_state import FleetState, WorkerState
from otel_monitor.demo.receiver import Signal
from otel_monitor.demo.report import Style, kept, table, to_json
from otel_monitor.demo.scenario import Outcome, Phase, Progress
from otel_monitor.demo.telemetry import AlertEvent, VerdictEvent
from otel_monitor.demo.view import LiveView, PlainView, frame
from otel_monitor_processors.patterns.verdict import Pattern

PLAIN = Style(colour=False)
INJECTED_AT = 1_700_000_000.0
LOST = AlertEvent(
    id="a1",
    at=INJECTED_AT + 1.9,
    reporter="orchestrator",
    rule="worker_lost",
    pattern="heartbeat_degradation",
    severity="critical",
    state="firing",
    summary="no heartbeat for 1.9 s",
    trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
)
PENDING = replace(LOST, at=INJECTED_AT + 1.0, state="pending")
RESOLVED = replace(LOST, at=INJECTED_AT + 20.0, state="resolved", summary="1 of 4 workers lost")
MORE = replace(LOST, at=INJECTED_AT + 2.4, summary="2 of 4 workers lost")
FADING = replace(LOST, at=INJECTED_AT + 15.0, summary="1 of 4 workers lost")
EARLY = replace(LOST, id="a0", at=INJECTED_AT - 5.0, rule="slow_operations", severity="warning")
OUTCOME = Outcome(
    fault=FaultName.KILL9,
    title="w3 and w4 are killed",
    injected_at=INJECTED_AT,
    healed_at=INJECTED_AT + 10.0,
    alerts=(EARLY, PENDING, LOST, RESOLVED),
    spans={"process stream": 400, "assign stream": 40},
    received={Signal.TRACES: 440, Signal.METRICS: 5000, Signal.LOGS: 3},
    kept=None,
)
WORKING = WorkerState("w1", "running", "available", 0.2, 6, 12.0)
KILLED = WorkerState("w3", "SIGKILL", "lost", 2.1, 0, 0.0)


def test_the_first_alert_is_the_first_that_fires_after_the_injection() -> None:
    assert OUTCOME.first_alert == LOST


def test_a_fault_without_an_alert_of_its_own_is_not_as_expected() -> None:
    assert OUTCOME.as_expected
    assert not replace(OUTCOME, alerts=(EARLY, PENDING)).as_expected


def test_without_a_fault_any_alert_is_one_too_many() -> None:
    quiet = replace(OUTCOME, fault=FaultName.NONE, injected_at=None, alerts=(PENDING,))
    assert quiet.as_expected
    assert not replace(quiet, alerts=(LOST,)).as_expected


def test_json_has_every_change_of_every_alert_with_its_delay() -> None:
    document = json.loads(json.dumps(to_json(OUTCOME)))
    assert (document["fault"], document["injected_at"]) == ("kill9", INJECTED_AT)
    assert [(alert["state"], alert["delay_s"]) for alert in document["alerts"]] == [
        ("firing", -5.0),
        ("pending", 1.0),
        ("firing", 1.9),
        ("resolved", 20.0),
    ]
    assert document["alerts"][2] == {
        "rule": "worker_lost",
        "pattern": "heartbeat_degradation",
        "severity": "critical",
        "state": "firing",
        "at": INJECTED_AT + 1.9,
        "delay_s": 1.9,
        "summary": "no heartbeat for 1.9 s",
    }


def test_json_has_no_delay_where_nothing_was_injected() -> None:
    document = to_json(replace(OUTCOME, fault=FaultName.NONE, injected_at=None))
    assert document["injected_at"] is None
    assert {alert["delay_s"] for alert in document["alerts"]} == {None}


def test_the_table_tells_fault_delay_severity_text_and_then_all_alerts() -> None:
    said = table(OUTCOME, PLAIN, 200)
    for part in ("kill9: w3 and w4 are killed", "after 1.9 s", "critical", "orchestrator: no heartbeat for 1.9 s"):
        assert part in said
    listed = said.partition("all alerts")[2].splitlines()
    assert [line.split()[0] for line in listed if line.strip()] == ["-5.0", "+1.9"]
    assert "resolved +20.0 s" in listed[-1]


def test_an_alert_that_says_more_later_is_one_alert_with_the_text_it_had_when_the_fault_ended() -> None:
    said = table(replace(OUTCOME, alerts=(LOST, MORE, FADING, RESOLVED)), PLAIN, 200).partition("all alerts")[2]
    assert said.count("worker_lost") == 1
    assert "2 of 4 workers lost" in said


def test_the_table_fits_the_terminal() -> None:
    outcome = replace(OUTCOME, alerts=(replace(LOST, summary="so many words " * 30),))
    assert max(map(len, table(outcome, PLAIN, 80).splitlines())) <= 80


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (replace(OUTCOME, alerts=()), "none: the fault went unnoticed"),
        (replace(OUTCOME, fault=FaultName.NONE, injected_at=None, alerts=()), "none, as it should be"),
        (replace(OUTCOME, fault=FaultName.NONE, injected_at=None), "nothing was broken, and yet an alert fired"),
        (replace(OUTCOME, received=dict.fromkeys(Signal, 0)), "nothing: the programs' own output says why (--keep)"),
        (replace(OUTCOME, forwarding="7 requests passed on"), "7 requests passed on"),
        (replace(OUTCOME, expected=Pattern.NETWORK_PARTITION), "not recognised as network_partition"),
        (replace(OUTCOME, complaints=("request:3: span without an end",)), "request:3: span without an end"),
    ],
)
def test_the_table_says_what_is_wrong(outcome: Outcome, text: str) -> None:
    assert text in table(outcome, PLAIN, 200)


def test_the_table_shows_what_each_saw_the_whole_system_first() -> None:
    opened = VerdictEvent(
        "whole system", INJECTED_AT + 5.0, "network_partition", "network", "opened", 0.6, ("w3",), "w3", "w3 is cut off"
    )
    later = replace(opened, at=INJECTED_AT + 7.0, state="updated", confidence=0.9, summary="w3 and w4 are cut off")
    closed = replace(opened, at=INJECTED_AT + 20.0, state="closed", summary="the evidence is gone")
    own = replace(opened, reporter="w3", at=INJECTED_AT + 2.0, summary="the orchestrator is not reached")
    before = replace(own, at=INJECTED_AT - 9.0, state="closed")
    outcome = replace(OUTCOME, expected=Pattern.NETWORK_PARTITION, verdicts=(opened, later, closed, before, own))
    said = table(outcome, PLAIN, 200)
    assert "network_partition after 5.0 s, as it should be" in said
    seen = said.partition("what each saw")[2].partition("all alerts")[0].strip().splitlines()
    assert [line.split()[2] for line in seen] == ["whole", "w3"]
    assert "0.90  w3 and w4 are cut off" in seen[0]


def test_what_is_kept_is_named() -> None:
    assert kept(OUTCOME) == ""
    assert "kept: /tmp/kept" in kept(replace(OUTCOME, kept=Path("/tmp/kept")))


def test_the_picture_shows_phase_workers_heartbeats_and_alerts() -> None:
    picture = "\n".join(frame(progress(alerts=[PENDING, LOST]), PLAIN))
    for part in ("kill9", "✓ baseline", "▶ fault", "w3      SIGKILL     lost", "2.1 s ago", "440 spans", "worker_lost"):
        assert part in picture
    assert "pending" not in picture


def test_the_picture_says_when_two_workers_process_the_same_stream() -> None:
    picture = frame(progress(processed_twice=6), PLAIN)
    assert "  6 streams are processed by two workers at once" in picture


def test_a_terminal_is_redrawn_in_place_and_gets_its_cursor_back() -> None:
    out = io.StringIO()
    view = LiveView(out, PLAIN)
    view.update(progress())
    lines = out.getvalue().count("\n")
    view.update(progress())
    view.close()
    assert f"\x1b[{lines}F" in out.getvalue()
    assert out.getvalue().startswith("\x1b[?25l")
    assert out.getvalue().endswith("\x1b[?25h")


def test_no_line_is_wider_than_the_terminal() -> None:
    coloured = Style(colour=True)
    assert coloured.cut(coloured.bad("x" * 50), 20) == "x" * 19 + "…"
    assert coloured.cut(coloured.bad("x" * 20), 20) == coloured.bad("x" * 20)


def test_a_file_gets_a_line_for_every_change_and_none_twice() -> None:
    out = io.StringIO()
    view = PlainView(out)
    running = progress(workers=(WORKING,))
    view.update(running)
    view.update(running)
    view.update(progress(workers=(replace(WORKING, process="SIGKILL"),), alerts=[PENDING, LOST]))
    view.update(progress(workers=(replace(WORKING, process="SIGKILL"),), alerts=[PENDING, LOST]))
    view.close()
    said = [line.partition("] ")[2] for line in out.getvalue().splitlines()]
    assert said[0] == "fault: w3 and w4 are killed"
    assert said[1] == "w1: process SIGKILL, available for the orchestrator"
    assert said[2].startswith("ALERT +1.9 s firing [critical] worker_lost, orchestrator:")
    assert len(said) == 3


def progress(
    workers: tuple[WorkerState, ...] = (WORKING, KILLED),
    processed_twice: int = 0,
    alerts: list[AlertEvent] | None = None,
) -> Progress:
    return Progress(
        fault=FaultName.KILL9,
        title=OUTCOME.title,
        seconds=40.0,
        phase=Phase.FAULT,
        note=OUTCOME.title,
        injected_at=INJECTED_AT,
        state=FleetState(workers, processed_twice),
        received=OUTCOME.received,
        alerts=alerts or [],
    )
