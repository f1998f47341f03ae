"""Alarms: what a user would have been told, and whether it was right."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.detection.scenarios.labels import Fault, Label

CONFIDENT = 0.5
GRACE_S = 60.0
"""An alarm still counts so long after the end of a failure."""
MERGE_S = 120.0
"""Alarms of one pattern no further apart than this are one."""
SHORTEST_RAMP_S = 60.0
"""What is at its limit sooner after the onset cannot be foretold."""


@dataclass(slots=True)
class Alarm:
    """One pattern reported with confidence, until that is taken back."""

    pattern: str
    at: float
    until: float
    told: list[tuple[float, tuple[str, ...]]] = field(default_factory=list)
    """Whom it named, and since when."""

    def sources(self, by: float) -> tuple[str, ...]:
        """Whom it named at a time."""
        named: tuple[str, ...] = self.told[0][1] if self.told else ()
        for at, sources in self.told:
            if at > by:
                break
            named = sources
        return named


def alarms_of(verdicts: Iterable[dict[str, Any]], end: float) -> list[Alarm]:
    """The alarms in a replay's verdicts, in the order of time: one begins where the confidence reaches one half."""
    alarms: list[Alarm] = []
    active: dict[tuple[str, str], Alarm] = {}
    for verdict in verdicts:
        key = (verdict["pattern"], verdict.get("scope", ""))
        at, sources = verdict["at"], tuple(verdict["sources"])
        confident = verdict["state"] != "closed" and verdict["confidence"] >= CONFIDENT
        alarm = active.get(key)
        if confident and alarm is None:
            alarm = active[key] = Alarm(verdict["pattern"], at, end)
            alarms.append(alarm)
        if confident and alarm is not None:
            alarm.told.append((at, sources))
        elif alarm is not None:
            alarm.until = at
            del active[key]
    alarms.sort(key=lambda item: item.at)
    return alarms


@dataclass(frozen=True, slots=True)
class Hit:
    """A failure that was found."""

    delay_s: float
    lead: float | None
    """For a resource that ran out, though not within a minute: the share of the way there left at the alarm."""
    overlap: float | None
    """Jaccard's index of the sources that were named and those that are concerned."""
    root_named: bool


@dataclass(slots=True)
class Judgement:
    """How the alarms of one recording compare with what is true of it."""

    hits: dict[int, Hit] = field(default_factory=dict)
    """By the number of the failure in the label."""
    false: list[Alarm] = field(default_factory=list)
    tolerated: list[Alarm] = field(default_factory=list)

    def found(self, number: int) -> bool:
        return number in self.hits


def judge(label: Label, alarms: Iterable[Alarm]) -> Judgement:
    """Compare alarms with the truth. No alarm is counted at more than one failure."""
    judgement = Judgement()
    by_pattern: dict[str, list[Alarm]] = {}
    for alarm in alarms:
        by_pattern.setdefault(alarm.pattern, []).append(alarm)
    for pattern, items in by_pattern.items():
        faults = [(number, fault) for number, fault in enumerate(label.faults) if fault.pattern == pattern]
        for group in _merged(items, [fault.since for _, fault in faults]):
            _judge_group(label, faults, group, judgement)
    judgement.false.sort(key=lambda alarm: alarm.at)
    return judgement


def _merged(alarms: list[Alarm], onsets: list[float]) -> list[list[Alarm]]:
    """Alarms close together are one; but none from before an onset becomes right by what comes after it."""
    groups: list[list[Alarm]] = []
    for alarm in alarms:
        group = groups[-1] if groups else None
        if group is None:
            groups.append([alarm])
            continue
        last_s = max(member.until for member in group)
        parted = any(group[-1].at < onset <= alarm.at for onset in onsets)
        if alarm.at - last_s <= MERGE_S and not parted:
            group.append(alarm)
        else:
            groups.append([alarm])
    return groups


def _judge_group(label: Label, faults: list[tuple[int, Fault]], group: list[Alarm], judgement: Judgement) -> None:
    for alarm in group:
        for number, fault in faults:
            if fault.visible and fault.since <= alarm.at <= fault.end + GRACE_S:
                if number not in judgement.hits:
                    judgement.hits[number] = _hit(fault, alarm)
                return
    if any(label.tolerated(alarm.pattern, alarm.at) for alarm in group):
        judgement.tolerated.append(group[0])
    else:
        judgement.false.append(group[0])


def _hit(fault: Fault, alarm: Alarm) -> Hit:
    named = alarm.sources(max(alarm.at, min(alarm.until, fault.end)))
    lead = None
    if fault.limit_at is not None and fault.limit_at - fault.onset >= SHORTEST_RAMP_S:
        lead = (fault.limit_at - alarm.at) / (fault.limit_at - fault.onset)
    sets = [set(fault.sources), *(set(sources) for sources in fault.accepted)]
    overlaps = [overlap(set(named), truth) for truth in sets if truth]
    return Hit(
        max(0.0, alarm.at - fault.onset),
        lead,
        max(overlaps) if overlaps else None,
        fault.root is not None and fault.root in named,
    )


def overlap(named: set[str], truth: set[str]) -> float:
    """Jaccard's index: 1 where they are the same, 0 where they have nothing in common."""
    together = named | truth
    return len(named & truth) / len(together) if together else 1.0
