"""What the page on tests of rules shows works as shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from otel_monitor.cli import main
from tests.docs.examples import examples
from tests.processes import Processes

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "how-to" / "test-rules.md"


def test_the_file_passes_and_a_wrong_expectation_is_said_as_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (file,), (shown,) = examples(PAGE, "yaml"), examples(PAGE, "text")
    path = tmp_path / "tests.yml"
    path.write_text(file.text)
    assert main(["rules", "test", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: SUCCESS: 4 checks\n"
    assert file.text.count("state: pending") == 1
    path.write_text(file.text.replace("state: pending", "state: firing"))
    assert main(["rules", "test", str(path)]) == 1
    assert capsys.readouterr().out.replace(f"{tmp_path}/", "") == shown.text


def test_the_fixtures_work_in_a_users_own_tests(tmp_path: Path, processes: Processes) -> None:
    (example,) = examples(PAGE, "python")
    (tmp_path / "monitor.json").write_text('{"alert_rules": {"deep": {"metric_name": "m", "threshold": 3}}}')
    more = """

def test_the_rules_of_a_configuration(rule_bench):
    bench = rule_bench("monitor.json")
    bench.add("m", "4")
    assert [alert.rule for alert in bench.run_until(0.0)] == ["deep"]
"""
    (tmp_path / "test_rules.py").write_text(example.text + more)
    run = processes.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", str(tmp_path))
    assert run.returncode == 0, run
    assert "2 passed" in run.stdout, run
