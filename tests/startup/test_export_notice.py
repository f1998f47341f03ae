"""How often the user is told about export, and in which words; on a clock of the test's own."""

from __future__ import annotations

import pytest

from otel_monitor.export_cause import Cause
from otel_monitor.export_notice import ExportNotice, Signal

REFUSED = Cause("connection refused", "start a Collector there")
NOT_FOUND = Cause("HTTP 404", "check the endpoint")
PLACE = "http://collector:4318"


class Listener:
    """A clock, and the lines said by it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.lines: list[str] = []
        self.notice = ExportNotice(lambda: self.now, self.lines.append)

    def after(self, seconds: float) -> ExportNotice:
        self.now += seconds
        return self.notice


@pytest.fixture
def listener() -> Listener:
    return Listener()


def test_the_first_failure_is_said_at_once_and_others_a_minute_later_with_all_losses(listener: Listener) -> None:
    listener.notice.failed(Signal.TRACES, PLACE, REFUSED, 10)
    for _ in range(59):
        listener.after(1).failed(Signal.METRICS, PLACE, REFUSED, 1)
        listener.notice.failed(Signal.LOGS, PLACE, REFUSED, 100)
        listener.notice.overflowed(Signal.TRACES, 1)
    assert len(listener.lines) == 1
    listener.after(1).failed(Signal.TRACES, PLACE, REFUSED, 10)
    assert len(listener.lines) == 2
    assert "traces, metrics, logs to http://collector:4318 failed (connection refused)" in listener.lines[1]
    assert "79 spans, 59 metric points, 5,900 log records dropped so far" in listener.lines[1]
    assert "your code keeps running" in listener.lines[1]


def test_failures_at_different_places_share_a_line(listener: Listener) -> None:
    listener.notice.failed(Signal.TRACES, PLACE, REFUSED, 1)
    listener.notice.failed(Signal.METRICS, "http://other", NOT_FOUND, 1)
    listener.after(60).failed(Signal.TRACES, PLACE, REFUSED, 1)
    assert "traces to http://collector:4318 failed (connection refused): start a Collector there" in listener.lines[1]
    assert "of metrics to http://other failed (HTTP 404): check the endpoint" in listener.lines[1]


def test_recovery_is_said_once_when_every_signal_leaves_again(listener: Listener) -> None:
    listener.notice.failed(Signal.TRACES, PLACE, REFUSED, 5)
    listener.notice.failed(Signal.LOGS, PLACE, REFUSED, 1)
    listener.after(90).delivered(Signal.TRACES)
    assert len(listener.lines) == 1
    listener.notice.delivered(Signal.LOGS)
    listener.notice.delivered(Signal.LOGS)
    assert listener.lines[1:] == ["otel-monitor: export works again after 90 s; 5 spans, 1 log record lost meanwhile."]


def test_a_flapping_collector_is_said_once_a_minute(listener: Listener) -> None:
    for _ in range(120):
        listener.after(0.25).failed(Signal.TRACES, PLACE, REFUSED, 1)
        listener.after(0.25).delivered(Signal.TRACES)
    assert len(listener.lines) == 2


def test_a_full_queue_alone_names_the_variable_to_raise(listener: Listener) -> None:
    listener.notice.overflowed(Signal.LOGS, 3)
    assert len(listener.lines) == 1
    assert "3 log records dropped. Raise OTEL_BLRP_MAX_QUEUE_SIZE" in listener.lines[0]


def test_at_the_end_of_the_process_nothing_is_said_before_everything_is_known(listener: Listener) -> None:
    listener.notice.closing()
    listener.notice.failed(Signal.TRACES, PLACE, REFUSED, 5)
    listener.notice.abandoned(Signal.LOGS, PLACE, REFUSED, 2)
    assert listener.lines == []
    listener.notice.close()
    listener.notice.failed(Signal.TRACES, PLACE, REFUSED, 5)
    assert len(listener.lines) == 1
    assert "5 spans, 2 log records dropped" in listener.lines[0]


def test_at_the_end_of_the_process_a_late_success_is_not_said(listener: Listener) -> None:
    listener.notice.closing()
    listener.notice.abandoned(Signal.LOGS, PLACE, REFUSED, 2)
    listener.notice.close()
    listener.notice.delivered(Signal.LOGS)
    assert len(listener.lines) == 1


def test_at_the_end_of_the_process_a_line_of_the_last_minute_is_enough(listener: Listener) -> None:
    listener.notice.failed(Signal.TRACES, PLACE, REFUSED, 5)
    listener.after(30).closing()
    listener.notice.abandoned(Signal.TRACES, PLACE, REFUSED, 2)
    listener.notice.close()
    assert len(listener.lines) == 1


def test_a_forked_child_tells_of_its_own_losses_alone(listener: Listener) -> None:
    listener.notice.failed(Signal.TRACES, PLACE, REFUSED, 5)
    listener.notice.reset()
    listener.notice.delivered(Signal.TRACES)
    listener.notice.failed(Signal.TRACES, PLACE, REFUSED, 1)
    assert len(listener.lines) == 2
    assert "1 span dropped so far" in listener.lines[1]
