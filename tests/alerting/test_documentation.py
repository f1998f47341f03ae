"""What the page on alerts shows is valid as it stands."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from otel_monitor.cli import main
from otel_monitor.settings import Settings
from tests.docs.examples import Example, examples

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "how-to" / "alerts.md"


@pytest.mark.parametrize("example", [*examples(PAGE, "json")], ids=lambda example: f"line {example.line}")
def test_settings_are_valid(example: Example, tmp_path: Path) -> None:
    path = tmp_path / "monitor.json"
    path.write_text(example.text)
    Settings.from_file(path)


@pytest.mark.parametrize("example", [*examples(PAGE, "sh")], ids=lambda example: f"line {example.line}")
def test_commands_are_understood(example: Example, capsys: pytest.CaptureFixture[str]) -> None:
    for command in example.text.splitlines():
        assert main(shlex.split(command)[1:]) == 1
        assert "no store_path is set" in capsys.readouterr().err


@pytest.mark.parametrize("example", [*examples(PAGE, "yaml")], ids=lambda example: f"line {example.line}")
def test_tests_of_rules_pass(example: Example, tmp_path: Path) -> None:
    path = tmp_path / "rules.yml"
    path.write_text(example.text)
    assert main(["rules", "test", str(path)]) == 0
