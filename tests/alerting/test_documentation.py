"""What the page on alerts shows is valid as it stands."""

from __future__ import annotations

import json
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
def test_commands_are_understood(
    example: Example, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    files = {name: {"type": "file", "path": str(tmp_path / name)} for name in ("on-call", "mail")}
    monkeypatch.setenv("OTEL_MONITOR_CHANNELS", json.dumps(files))
    for command in example.text.splitlines():
        words = shlex.split(command)[1:]
        code = main(words)
        printed = capsys.readouterr()
        if words[1] == "test":
            assert "mail (file): delivered" in printed.out
        else:
            assert "no store_path is set" in printed.err
            assert code == 1
