"""How full limited resources are, read from metrics by their names' endings, their units and their states."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from otel_monitor_processors.observation import Level

Labels = tuple[tuple[str, str], ...]

_SHARES = (".utilization", "_utilization", ".utilisation", "_utilisation")
_PERCENTAGES = (".used_percent", "_used_percent", ".usage", ".used", ".percent", "_percent")
_PERCENT = ("%", "percent", "{percent}")
_NO_SHARES = ("_request_utilization", ".request_utilization")
"""A request is what a container is promised, not what it may use: more than all of it is in order."""
_ONLY_BUSY = re.compile(r"(\w+\.)*(disk|io|network)")
"""What is busy all the time and none the worse for it: a share of time that runs out of nothing."""
_USED = (".usage", ".count", ".size", ".used", ".total")
_FREE = (".available",)
_LIMITS = (".limit", ".max", ".capacity")

_CANONICAL: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("cpu", re.compile(r"(\w+\.)*(system|process|container|pod|node|jvm)\.cpu(_limit|\.recent|\.logical)?")),
    ("memory", re.compile(r"(\w+\.)*(system|process|container|pod|node)\.memory(_limit|\.usage)?")),
    ("disk", re.compile(r"(\w+\.)*(system|container|pod|node)\.filesystem")),
    ("file_descriptors", re.compile(r"process\.(unix\.|open_)?file_descriptors?")),
)
"""What the rules' built-in metrics call a resource. Several metrics, or disks, may mean the same one: see `Levels`."""

_IDENTITY = {
    "cpu": ("cpu", "cpu.logical_number", "system.cpu.logical_number"),
    "memory": (),
    "disk": ("mountpoint", "system.filesystem.mountpoint", "device", "system.device"),
    "file_descriptors": (),
}
"""Attributes that tell several of one resource apart; all others but the state are passed over."""

_UNUSED_STATES = frozenset(
    (
        *("idle", "free", "available", "unused", "wait", "iowait"),
        *("cached", "buffered", "buffers", "inactive", "reserved", "slab_reclaimable"),
    )
)
_UNLIMITED = 2.0**62
_CLEARLY_NO_SHARE = 1.5
_MAX_KEPT = 20_000
_MAX_STREAMS = 16
_FORGOTTEN_S = 300.0
_RATES = ("cpu",)
"""What is busy or not, and does not fill up: of it only the busiest counts."""


class Reading(NamedTuple):
    """One current value of a metric."""

    attributes: Labels
    value: float
    unit: str


class _Use(NamedTuple):
    """A metric that tells how much of something is used: of what, and the limit that its unit implies, if any."""

    stem: str
    limit: float | None = None
    tells_free: bool = False


class _Found(NamedTuple):
    """A level under the name that rules know, and the stream that it stands in: its metric and what tells it apart."""

    stream: str
    level: Level

    @property
    def fullness(self) -> tuple[float, str]:
        return self.level.value / self.level.limit, self.stream


@dataclass(slots=True)
class _Shared:
    """A resource's name that several streams may share: which of them is the fullest, and all that there are."""

    fullest: str
    share: float
    at_s: float
    streams: set[str]


class Levels:
    """Reads levels from the metrics of one export; what came earlier is remembered within bounds.

    A metric with its attributes is a stream of its own (OpenTelemetry's data model): the memory of a process fills
    up beside the steady memory of its machine. Where several streams mean the resource of one built-in name, that
    name tells of the fullest, and each that can fill up is told by its own name as well, of 16 at most.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self._shared: OrderedDict[tuple[str, str, str], _Shared] = OrderedDict()
        self._limits: OrderedDict[tuple[str, str, str, Labels], Reading] = OrderedDict()
        self._percents: OrderedDict[tuple[str, str, str], None] = OrderedDict()

    def read(self, source: str, service: str, readings: Mapping[str, list[Reading]], at_s: float) -> Iterator[Level]:
        """The levels that the metrics of one source say, each with its readings."""
        uses = []
        for name in readings:
            stem = _without(name, _LIMITS)
            if stem is not None:
                self._remember(source, service, stem, readings[name])
            use = _use_of(name, readings[name][0].unit)
            if use is not None:
                uses.append((name, use))
        found: dict[str, list[_Found]] = {}
        for name, use in uses:
            for one in self._levels(source, service, use, readings[name], at_s):
                found.setdefault(one.level.resource, []).append(one)
        for resource, several in found.items():
            fullest = max(several, key=lambda one: one.fullness)
            if resource not in _IDENTITY:
                yield fullest.level
            else:
                yield from self._told((source, service, resource), several, fullest, at_s)

    def _told(self, key: tuple[str, str, str], several: list[_Found], fullest: _Found, at_s: float) -> Iterator[Level]:
        """What is to be told of streams that share a name; those of other exports, which come in between, count too."""
        share, stream = fullest.fullness
        shared = self._shared.get(key)
        if shared is None:
            self._bounded(self._shared)
            shared = self._shared[key] = _Shared(stream, share, at_s, set())
        self._shared.move_to_end(key)
        streams = {one.stream: one.level for one in several}
        if shared.fullest in streams or share >= shared.share or at_s - shared.at_s > _FORGOTTEN_S:
            shared.fullest, shared.share, shared.at_s = stream, share, at_s
            yield fullest.level
        for name in sorted(streams.keys() - shared.streams)[: _MAX_STREAMS - len(shared.streams)]:
            shared.streams.add(name)
        if len(shared.streams) > 1 and key[2] not in _RATES:
            yield from (level._replace(resource=name) for name, level in streams.items() if name in shared.streams)

    def _levels(self, source: str, service: str, use: _Use, readings: list[Reading], at_s: float) -> Iterator[_Found]:
        name = _canonical(use.stem)
        shares = []
        for identity, states in _grouped(readings, _IDENTITY.get(name)).items():
            limit = use.limit or self._limit(source, service, use.stem, identity, readings[0].unit)
            used = _used(states, limit, tells_free=use.tells_free) if limit is not None else None
            if limit is None or used is None or used < 0.0:
                continue  # nothing is used less than not at all: whoever says so means something else
            if use.limit == 1.0:
                limit = self._real_limit((source, service, use.stem), used)
            if name == "cpu":
                shares.append((used, limit))
                continue
            labels = "".join(f",{key}={value}" for key, value in identity)
            resource = name if name in _IDENTITY else name + labels
            yield _Found(use.stem + labels, Level(at_s, source, resource, used, limit, service))
        if shares:  # a single busy core is no exhausted machine
            used = sum(used for used, _ in shares) / len(shares)
            yield _Found(use.stem, Level(at_s, source, name, used, shares[0][1], service))

    def _real_limit(self, metric: tuple[str, str, str], share: float) -> float:
        """Some count percent and say `1`: well above 1 they give themselves away, and are remembered."""
        if share > _CLEARLY_NO_SHARE and metric not in self._percents:
            self._bounded(self._percents)
            self._percents[metric] = None
        return 100.0 if metric in self._percents else 1.0

    def _remember(self, source: str, service: str, stem: str, readings: list[Reading]) -> None:
        for reading in readings:
            key = (source, service, stem, reading.attributes)
            if 0 < reading.value < _UNLIMITED:
                if key not in self._limits:
                    self._bounded(self._limits)
                self._limits[key] = reading
                self._limits.move_to_end(key)

    def _bounded(self, table: OrderedDict[Any, Any]) -> None:
        if len(table) >= _MAX_KEPT:
            table.popitem(last=False)
            self.dropped += 1

    def _limit(self, source: str, service: str, stem: str, identity: Labels, unit: str) -> float | None:
        for attributes in (identity, ()):
            limit = self._limits.get((source, service, stem, attributes))
            if limit is not None:
                return limit.value if limit.unit == unit or not (limit.unit and unit) else None
        return None


def _use_of(name: str, unit: str) -> _Use | None:
    if name.endswith(_NO_SHARES):
        return None
    percent = unit in _PERCENT
    stem = _without(name, _SHARES) or (_without(name, _PERCENTAGES) if percent else None)
    if stem is not None:
        return None if _ONLY_BUSY.fullmatch(stem) else _Use(stem, 100.0 if percent else 1.0)
    stem = _without(name, _USED)
    if stem is not None:
        return _Use(stem)
    stem = _without(name, _FREE)
    return _Use(stem, tells_free=True) if stem is not None else None


def _without(name: str, endings: tuple[str, ...]) -> str | None:
    if not name.endswith(endings):
        return None
    return next(name.removesuffix(ending) for ending in endings if name.endswith(ending)) or None


def _canonical(stem: str) -> str:
    return next((name for name, pattern in _CANONICAL if pattern.fullmatch(stem)), stem)


def _grouped(readings: Iterable[Reading], identity: tuple[str, ...] | None) -> dict[Labels, list[tuple[str, float]]]:
    """States and values, by what tells the resources apart: all attributes but the state, where `identity` is None."""
    groups: dict[Labels, list[tuple[str, float]]] = {}
    for reading in readings:
        state, kept = "", []
        for name, value in reading.attributes:
            if name.rpartition(".")[2] in ("state", "mode"):
                state = value
            elif identity is None or name in identity:
                kept.append((name, value))
        groups.setdefault(tuple(kept), []).append((state, reading.value))
    return groups


def _used(states: list[tuple[str, float]], limit: float, *, tells_free: bool) -> float | None:
    """How much is in use. A metric split by state or mode counts idle, free and cached apart."""
    stated = [(state, value) for state, value in states if state]
    if not stated:
        value = max(value for _, value in states)
        return limit - value if tells_free else value
    used = [value for state, value in stated if state == "used"]
    busy = used or [value for state, value in stated if state not in _UNUSED_STATES]
    if busy:
        return sum(busy)
    return limit - sum(value for _, value in stated) if limit in (1.0, 100.0) else None
