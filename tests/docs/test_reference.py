"""The reference is complete: what the code has, the documentation names."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from otel_monitor_processors.classification import Category
from tests.processes import Processes


def test_generated_tables_are_those_of_the_code(repository: Path, processes: Processes) -> None:
    run = processes.run("python", repository / "docs" / "generate.py", "--check")
    assert run.returncode == 0, run


@pytest.mark.parametrize("package", ["otel_monitor", "otel_monitor_processors"])
def test_public_names_are_sorted_and_in_the_reference(package: str, repository: Path) -> None:
    module = importlib.import_module(package)
    page = (repository / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
    assert module.__all__ == sorted(module.__all__)
    assert [name for name in module.__all__ if f"`{name}`" not in page] == []
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


def test_every_category_of_errors_is_explained(repository: Path) -> None:
    page = (repository / "docs" / "reference" / "attributes.md").read_text(encoding="utf-8")
    assert [category for category in Category if f"| `{category}` |" not in page] == []
