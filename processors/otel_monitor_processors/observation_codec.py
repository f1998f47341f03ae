"""Observations as JSON-compatible data and back, for an engine's saved state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

from otel_monitor_processors.classification import Category
from otel_monitor_processors.distribution import Distribution
from otel_monitor_processors.observation import Change, Observation, Outcome, TraceRef

_KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in get_args(Observation)}
_REVIVE: dict[str, Callable[[Any], Any]] = {
    "category": Category,
    "outcome": Outcome,
    "change": Change,
    "trace": lambda pair: TraceRef(*pair),
    "distribution": lambda raw: Distribution(tuple(raw[0]), tuple(raw[1]), *raw[2:]),
    "attributes": lambda pairs: tuple((name, value) for name, value in pairs),
}


def dump_observation(observation: Observation) -> list[Any]:
    """The kind's name and the fields."""
    return [type(observation).__name__, list(observation)]


def load_observation(state: list[Any]) -> Observation:
    """The observation that `dump_observation` was given."""
    kind = _KINDS[state[0]]
    fields = dict(zip(kind._fields, state[1], strict=True))
    revived = {
        name: _REVIVE[name](value) if name in _REVIVE and value is not None else value for name, value in fields.items()
    }
    observation: Observation = kind(**revived)
    return observation
