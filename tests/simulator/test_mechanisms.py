"""Every mechanism does what it is there for, to those whom its label names, and not before it begins."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks.detection.scenarios.labels import Fault, Label
from benchmarks.detection.scenarios.mechanism import (
    CASCADE,
    CONTENTION,
    EXHAUSTION,
    HEARTBEATS,
    IMBALANCE,
    MECHANISMS,
    PARTITION,
    PATTERNS,
)
from benchmarks.detection.scenarios.split import Split
from tests.simulator.stages import START, Witness, played_mechanism


def _during(fault: Fault, at: float) -> bool:
    return fault.onset <= at <= fault.end + 10.0


def _spreads(fault: Fault, witness: Witness) -> None:
    failing = {name for name, times in witness.failed_at.items() if sum(_during(fault, at) for at in times) >= 2}
    lost = sum(what == "lost" and fault.onset - 10.0 <= at <= fault.end + 30.0 for at, what in witness.members)
    assert len(failing) >= 2 or lost >= 2
    assert len(fault.sources) >= 2


def _runs_out(fault: Fault, _witness: Witness) -> None:
    assert fault.limit_at is not None
    assert fault.onset < fault.limit_at <= fault.end
    assert len(fault.sources) >= 1


def _separates(fault: Fault, witness: Witness) -> None:
    inside = [(source, target) for at, source, target in witness.unreached if _during(fault, at)]
    before = [at for at, _, _ in witness.unreached if at < fault.onset]
    named = set(fault.sources)
    assert len(inside) >= 5
    assert len(before) < 0.2 * len(inside)
    assert sum((source in named) != (target in named) for source, target in inside) > 0.8 * len(inside)


def _locks(fault: Fault, witness: Witness) -> None:
    inside = sum(_during(fault, at) for at in witness.locked_at)
    before = sum(at < fault.onset for at in witness.locked_at)
    assert inside >= 5
    assert inside > 5 * before
    assert fault.root is not None


def _delays_heartbeats(fault: Fault, witness: Witness) -> None:
    """Of those named or, where the receiver is named, of all."""
    victims = [name for name in fault.sources if name in witness.gaps] or list(witness.gaps)
    for name in victims:
        before = [gap for at, gap in witness.gaps[name] if at < fault.onset]
        since = [gap for at, gap in witness.gaps[name] if fault.onset < at <= fault.end + 30.0]
        assert max(before) < 1.8
        assert max([*since, fault.end - fault.onset - sum(since)]) > 1.8
    others = [name for name in witness.gaps if name not in fault.sources and victims == list(fault.sources)]
    for name in others:
        assert max(gap for at, gap in witness.gaps[name] if fault.onset < at <= fault.end) < 2.5


def _shares_badly(fault: Fault, witness: Witness) -> None:
    """In what workers are given, or in what they do."""
    shares = []
    for times_of in (witness.assigned_at, witness.processed_at):
        counts = {name: sum(_during(fault, at) for at in times) for name, times in times_of.items()}
        if sum(counts.values()) > 50:
            shares.append(sum(counts.get(name, 0) for name in fault.sources) / sum(counts.values()))
    assert max(shares) > 1.5 * len(fault.sources) / len(witness.processed_at)


_EFFECTS: dict[str, Callable[[Fault, Witness], None]] = {
    CASCADE: _spreads,
    EXHAUSTION: _runs_out,
    PARTITION: _separates,
    CONTENTION: _locks,
    HEARTBEATS: _delays_heartbeats,
    IMBALANCE: _shares_badly,
}


def _played(name: str) -> tuple[Witness, Label]:
    _, witness, label = played_mechanism(name)
    return witness, label


@pytest.mark.parametrize("name", list(MECHANISMS))
def test_a_mechanism_has_its_effect_on_those_it_names(name: str) -> None:
    witness, label = _played(name)
    fault = label.faults[0]
    assert fault.mechanism == name
    assert START < fault.onset < fault.end <= label.end
    assert fault.sources
    _EFFECTS[fault.pattern](fault, witness)


def test_every_pattern_has_several_mechanisms_of_which_one_is_kept_for_reporting() -> None:
    for pattern in PATTERNS:
        items = [item for item in MECHANISMS.values() if item.pattern == pattern]
        assert len(items) >= 4
        assert any(item.held_out for item in items)
        assert sum(Split.FIT in item.splits for item in items) >= 3
