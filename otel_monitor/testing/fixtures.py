"""pytest fixtures: `pytest_plugins = ["otel_monitor.testing.fixtures"]` in a conftest makes them available."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from otel_monitor.detection import rules as rules_of
from otel_monitor.settings import Settings
from otel_monitor.testing.bench import RuleBench
from otel_monitor.testing.clock import VirtualClock
from otel_monitor_processors.alerts.rule import Rule


@pytest.fixture
def virtual_clock() -> VirtualClock:
    """Time that only moves when the test says so."""
    return VirtualClock()


@pytest.fixture
def rule_bench(virtual_clock: VirtualClock) -> Callable[..., RuleBench]:
    """Makes benches on the virtual clock, of rules or of a configuration file: `rule_bench("monitor.json")`."""

    def make(rules: Iterable[Rule] | str | Path, evaluation_interval_s: float = 60.0) -> RuleBench:
        known = rules_of(Settings.from_file(Path(rules))) if isinstance(rules, (str, Path)) else rules
        return RuleBench(known, evaluation_interval_s, virtual_clock)

    return make
