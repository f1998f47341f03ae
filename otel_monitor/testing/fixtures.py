"""pytest fixtures: `pytest_plugins = ["otel_monitor.testing.fixtures"]` in a conftest makes them available."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from otel_monitor.testing.bench import RuleBench
from otel_monitor.testing.clock import VirtualClock
from otel_monitor_processors.alerts.rule import Rule


@pytest.fixture
def virtual_clock() -> VirtualClock:
    """Time that only moves when the test says so."""
    return VirtualClock()


@pytest.fixture
def rule_bench(virtual_clock: VirtualClock) -> Callable[..., RuleBench]:
    """Makes benches on the virtual clock: `rule_bench(rules, evaluation_interval_s=30)`."""

    def make(rules: Iterable[Rule], evaluation_interval_s: float = 60.0) -> RuleBench:
        return RuleBench(rules, evaluation_interval_s, virtual_clock)

    return make
