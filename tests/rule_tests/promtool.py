"""The real promtool, and tests that both it and otel-monitor understand."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

PACKAGE = "prometheus"
DURATIONS = (0, 15, 30, 60, 90, 120)
COMPARISONS = (">", ">=", "<", "<=", "==", "!=")


def run(folder: Path, rules: list[Any], tests: dict[str, Any]) -> str:
    """What promtool says of the tests; nothing where all hold."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip(f"needs promtool: apt-get install {PACKAGE}")
    (folder / "rules.yml").write_text(json.dumps({"groups": [{"name": "g", "rules": rules}]}))  # which is YAML
    path = folder / "promtool.yml"
    path.write_text(json.dumps({"rule_files": ["rules.yml"], **tests}))
    command = [program, "test", "rules", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@dataclass(frozen=True)
class Case:
    """A rule on a metric of the same name, and the series of that."""

    name: str
    comparison: str
    duration: int
    keep_firing_for: int
    series: dict[str, str] = field(default_factory=dict)

    def theirs(self) -> dict[str, Any]:
        """The rule as Prometheus has it."""
        rule: dict[str, Any] = {"alert": self.name, "expr": f"{self.name} {self.comparison} 10"}
        rule["labels"] = {"team": "a"}
        if self.duration:
            rule["for"] = f"{self.duration}s"
        if self.keep_firing_for:
            rule["keep_firing_for"] = f"{self.keep_firing_for}s"
        return rule

    def ours(self) -> dict[str, Any]:
        return {
            "metric_name": self.name,
            "comparison": self.comparison,
            "threshold": 10,
            "duration": self.duration,
            "keep_firing_for": self.keep_firing_for,
            "labels": {"team": "a"},
            "staleness": 300,
            "on_no_data": "resolve",
        }


def cases(count: int, seed: int) -> Iterator[Case]:
    """Random ones, always the same for a seed.

    They keep to what both mean alike: samples at every evaluation (ours asks for fresh ones before it fires), gaps
    only without a duration and none of exactly the look-back, and no NaN beside `!=`, which holds for it there.
    """
    draw = random.Random(seed)
    for number in range(count):
        comparison = draw.choice(COMPARISONS)
        gaps = draw.random() < 0.4
        duration = 0 if gaps else draw.choice(DURATIONS)
        series = {
            f'm{number}{{series="{index}",instance="w{index}"}}': _values(draw, gaps=gaps, nan=comparison != "!=")
            for index in range(draw.randint(1, 3))
        }
        yield Case(f"m{number}", comparison, duration, draw.choice((0, 0, 30, 60, 120)), series)


def _values(draw: random.Random, *, gaps: bool, nan: bool) -> str:
    words = [_word(draw, gaps=gaps, nan=nan) for _ in range(draw.randint(1, 9))]
    return " ".join([*words, draw.choice(("9x110", "12x3 10x110", "-1x7 11x120", "9-1x120"))])


def _word(draw: random.Random, *, gaps: bool, nan: bool) -> str:
    kind = draw.random()
    if kind < 0.4:
        return draw.choice(["9", "10", "11", "-3", "1e1", "0.5e2", "Inf", "-Inf", "+11", "NaN" if nan else "12"])
    if kind < 0.6:
        return f"{draw.choice(['9', '11', '-2', '10.5'])}x{draw.randint(0, 6)}"
    if kind < 0.75:
        return f"{draw.randint(-5, 12)}+{draw.randint(0, 3)}x{draw.randint(0, 6)}"
    if kind < 0.85:
        return f"{draw.randint(5, 20)}-{draw.choice(['1', '2.5', '0'])}x{draw.randint(0, 6)}"
    return draw.choice(["_", "_x1", "_x2", "stale"]) if gaps else draw.choice(["stale", "11x1"])
