"""What the documentation shows works as shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from otel_monitor.settings import Settings
from tests.docs.examples import Example, examples, pages
from tests.processes import Processes

REPOSITORY = Path(__file__).resolve().parent.parent.parent
TUTORIAL = REPOSITORY / "docs" / "tutorials" / "first-alert.md"
PYTHON_EXAMPLES = [
    pytest.param(example, id=f"{page.relative_to(REPOSITORY)}:{example.line}")
    for page in pages(REPOSITORY)
    if page != TUTORIAL
    for example in examples(page, "python")
]


@pytest.mark.parametrize("example", PYTHON_EXAMPLES)
def test_python_example_runs_without_a_warning(example: Example, processes: Processes, tmp_path: Path) -> None:
    script = tmp_path / "example.py"
    script.write_text(example.text)
    run = processes.run("python", "-W", "error", script, env={"OTEL_SDK_DISABLED": "false"})
    assert run.returncode == 0, run
    assert "Traceback" not in run.stderr, run


def test_tutorial_program_raises_the_alert_that_the_tutorial_shows(processes: Processes, tmp_path: Path) -> None:
    (program,) = (example.text for example in examples(TUTORIAL, "python"))
    (tmp_path / "fleet.py").write_text(program)
    commands = next(example.text for example in examples(TUTORIAL, "sh") if "opentelemetry-instrument" in example.text)
    run = processes.run("bash", "-c", f"set -e; {commands}", timeout_s=90)
    assert run.returncode == 0, run
    shown = next(example.text for example in examples(TUTORIAL, "text") if "ALERT firing" in example.text)
    told = re.search(r"ALERT .* lost: \w+", shown)
    assert told is not None
    assert told[0] in run.stderr, run


def test_example_configuration_is_valid(repository: Path) -> None:
    settings = Settings.from_file(repository / "docs" / "reference" / "example-configuration.json")
    assert settings.alert_rules["slow_orders"].duration_s == 60


@pytest.mark.parametrize("page", [*REPOSITORY.glob("*.md")], ids=lambda page: page.name)
def test_links_of_a_page_outside_the_docs_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []
