"""`otel-monitor`: its commands, what it says, and its exit codes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from otel_monitor.cli import COMMANDS, main


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert all(f"{command.name} {command.summary}" in said for command in COMMANDS)


def test_without_a_command_it_helps_and_says_that_this_was_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage: otel-monitor" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["dmeo"], "invalid choice: 'dmeo'"),
        (["demo", "kill8"], "'kill8' is not one of kill9, partition"),
        (["demo", "kill8"], "did you mean 'kill9'?"),
        (["demo", "--seconds", "soon"], "'soon' is not a number of seconds from 10 to 600"),
        (["demo", "--seconds", "1"], "'1' is not a number of seconds from 10 to 600"),
        (["demo", "--output", "xml"], "invalid choice: 'xml'"),
        (["demo", "--loud"], "unrecognized arguments: --loud"),
    ],
)
def test_wrong_usage_is_told_and_exits_with_2(
    arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert text in capsys.readouterr().err


def test_the_module_is_the_command() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "otel_monitor", "--version"], check=True, capture_output=True, text=True
    )
    assert shown.stdout.startswith("otel-monitor ")


def test_programs_that_cannot_start_are_told_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    assert main(["demo", "--seconds", "10"]) == 1
    said = capsys.readouterr().err
    assert "otel-monitor: orchestrator ended (exit 1)" in said
    assert "Traceback" not in said
