"""The arbiter: compares rival findings, and opens, updates and closes verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from otel_monitor_processors.patterns.finding import Finding
from otel_monitor_processors.patterns.verdict import Pattern, Verdict, VerdictState

OPEN_AT = 0.5
"""Confidence at which a verdict opens."""
CLOSE_AT = 0.3
"""Confidence below which an open verdict is on its way to its end."""

PRECEDENCE = (
    Pattern.DATABASE_CONTENTION,
    Pattern.RESOURCE_EXHAUSTION,
    Pattern.NETWORK_PARTITION,
    Pattern.HEARTBEAT_DEGRADATION,
    Pattern.CASCADING_FAILURES,
    Pattern.LOAD_IMBALANCE,
)
"""Who explains whom: a cause stands before what follows from it."""

_WHOLLY: Mapping[Pattern, frozenset[Pattern]] = {
    Pattern.DATABASE_CONTENTION: frozenset({Pattern.LOAD_IMBALANCE}),
    Pattern.NETWORK_PARTITION: frozenset({Pattern.CASCADING_FAILURES, Pattern.LOAD_IMBALANCE}),
    Pattern.CASCADING_FAILURES: frozenset({Pattern.LOAD_IMBALANCE}),
}
"""What follows from a pattern at sources that it does not name as well: work moves away from those it does."""

_AFTERMATH_S: Mapping[Pattern, float] = {
    Pattern.DATABASE_CONTENTION: 120.0,
    Pattern.NETWORK_PARTITION: 180.0,
    Pattern.HEARTBEAT_DEGRADATION: 60.0,
    Pattern.CASCADING_FAILURES: 240.0,
}
"""For how long after its end a pattern still accounts for what follows from it: backlogs, workers that come back."""

SUSPECT_AT = 0.2
"""Confidence from which a finding makes others wait that it would account for."""
_DOUBT_S = 10.0
_CLOSE_AFTER_S = 5.0
_MORE_AFTER_S = 1.0
_FEWER_AFTER_S = 10.0
_EXPLAINED = 0.2
_LONGEST_AFTERMATH_S = max(_AFTERMATH_S.values())
_RANK = {pattern: rank for rank, pattern in enumerate(PRECEDENCE)}
Key = tuple[Pattern, str]


@dataclass(slots=True)
class _Case:
    """One pattern in one scope: the verdict that is open, how often in a row it was found, and since when not."""

    verdict: Verdict | None = None
    seen: int = 0
    clear_since: float | None = None
    first_seen: float | None = None


@dataclass(frozen=True, slots=True)
class _Past:
    """A pattern that was found, whom it explains (None: everybody), and when that was seen last."""

    pattern: Pattern
    explains: frozenset[str] | None
    seen_at: float


class Arbiter:
    """Keeps the verdicts. Nothing here knows a clock: `now` is passed in."""

    def __init__(self) -> None:
        self._cases: dict[Key, _Case] = {}
        self._past: dict[Key, _Past] = {}
        self._confidence: dict[Pattern, float] = {}

    def judge(self, findings: Iterable[Finding], now: float) -> Iterator[Verdict]:
        """Hold the findings of one evaluation against each other; what changed because of them."""
        ordered = in_order(self._widened(finding) for finding in findings)
        ranked = [self._settle(finding, now) for finding in explain(ordered)]
        self._confidence = {}
        found: set[Key] = set()
        for finding in ranked:
            key = (finding.pattern, finding.scope)
            found.add(key)
            self._confidence[finding.pattern] = max(finding.confidence, self._confidence.get(finding.pattern, 0.0))
            yield from self._weigh(self._cases.setdefault(key, _Case()), finding, _is_doubtful(finding, ordered), now)
        for key in [key for key in self._cases if key not in found]:
            case = self._cases[key]
            yield from self._clear(case, now)
            if case.verdict is None:
                del self._cases[key]

    def _widened(self, finding: Finding) -> Finding:
        """What is open accounts for all that it has accounted for since it opened, also where it has passed."""
        past = self._past.get((finding.pattern, finding.scope))
        case = self._cases.get((finding.pattern, finding.scope))
        if past is None or case is None or case.verdict is None or finding.explains is None:
            return finding
        explains = None if past.explains is None else past.explains | finding.explains
        return finding if explains == finding.explains else replace(finding, explains=explains)

    def _settle(self, finding: Finding, now: float) -> Finding:
        """Remember what is sure for a while after its end; what such a past cause accounts for is reduced."""
        key = (finding.pattern, finding.scope)
        case = self._cases.get(key)
        is_open = case is not None and case.verdict is not None
        if is_open and finding.confidence >= OPEN_AT and finding.pattern in _AFTERMATH_S:
            self._past[key] = _Past(finding.pattern, finding.explains, now)
        for old in [old for old, past in self._past.items() if now - past.seen_at > _LONGEST_AFTERMATH_S]:
            del self._past[old]
        if not is_open and any(_still_accounts_for(past, finding, now) for past in self._past.values()):
            return replace(finding, confidence=min(finding.confidence, _EXPLAINED))
        return finding

    def _weigh(self, case: _Case, finding: Finding, doubtful: bool, now: float) -> Iterator[Verdict]:
        if finding.confidence < (CLOSE_AT if case.verdict is not None else OPEN_AT):
            yield from self._clear(case, now)
            return
        case.seen += 1
        case.clear_since = None
        if case.verdict is None:
            if case.first_seen is None:
                case.first_seen = now
            held = doubtful and now - case.first_seen < _DOUBT_S
            if not held and (finding.sure or case.seen > 1):
                case.verdict = _verdict(finding, now)
                yield case.verdict
        elif _is_news(case.verdict, finding, now):
            case.verdict = replace(_verdict(finding, now), state=VerdictState.UPDATED, opened_at=case.verdict.opened_at)
            yield case.verdict

    def _clear(self, case: _Case, now: float) -> Iterator[Verdict]:
        case.seen = 0
        case.first_seen = None
        if case.verdict is None:
            return
        if case.clear_since is None:
            case.clear_since = now
        if now - case.clear_since >= _CLOSE_AFTER_S:
            yield replace(case.verdict, state=VerdictState.CLOSED, at=now, summary="the evidence is gone")
            case.verdict = None
            case.clear_since = None

    def open_verdicts(self) -> list[Verdict]:
        """Every open verdict, the causes first."""
        verdicts = [case.verdict for case in self._cases.values() if case.verdict is not None]
        return sorted(verdicts, key=lambda verdict: (_RANK[verdict.pattern], verdict.scope))

    def confidence(self, pattern: Pattern) -> float:
        """The confidence in a pattern as of the last evaluation, rival explanations taken into account."""
        return self._confidence.get(pattern, 0.0)

    def reset(self) -> None:
        self._cases.clear()
        self._past.clear()
        self._confidence.clear()

    def dump(self) -> dict[str, Any]:
        cases = [
            [
                pattern,
                scope,
                case.verdict.dump() if case.verdict is not None else None,
                case.seen,
                case.clear_since,
                case.first_seen,
            ]
            for (pattern, scope), case in self._cases.items()
        ]
        past = [
            [*key, None if item.explains is None else sorted(item.explains), item.seen_at]
            for key, item in self._past.items()
        ]
        return {"cases": cases, "past": past, "confidence": list(self._confidence.items())}

    def load(self, state: dict[str, Any]) -> None:
        self._cases = {
            (Pattern(pattern), scope): _Case(Verdict.load(verdict) if verdict is not None else None, *more)
            for pattern, scope, verdict, *more in state["cases"]
        }
        self._past = {
            (Pattern(pattern), scope): _Past(Pattern(pattern), None if names is None else frozenset(names), seen_at)
            for pattern, scope, names, seen_at in state["past"]
        }
        self._confidence = {Pattern(pattern): value for pattern, value in state["confidence"]}


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """The findings, causes first."""
    return sorted(findings, key=lambda finding: (_RANK[finding.pattern], finding.scope))


def explain(findings: list[Finding]) -> list[Finding]:
    """The findings, causes first, each that an earlier one accounts for reduced, and named in that one's evidence."""
    kept: list[Finding] = []
    for finding in findings:
        cause = next((i for i, other in enumerate(kept) if _accounts_for(other, finding)), None)
        if cause is None:
            kept.append(finding)
            continue
        winner = kept[cause]
        rival = {
            "pattern": str(finding.pattern),
            "confidence": round(finding.confidence, 3),
            "sources": list(finding.sources),
            "lost_because": f"{winner.pattern} accounts for it: {winner.summary}",
        }
        rivals = [*winner.evidence.get("rivals", ()), rival]
        kept[cause] = replace(winner, evidence={**winner.evidence, "rivals": rivals})
        kept.append(replace(finding, confidence=min(finding.confidence, _EXPLAINED)))
    return kept


def _is_doubtful(finding: Finding, others: list[Finding]) -> bool:
    """Whether something else is suspected, not more, that would account for the finding: it may wait a little."""
    return any(SUSPECT_AT <= other.confidence < OPEN_AT and _would_account_for(other, finding) for other in others)


def _accounts_for(cause: Finding, finding: Finding) -> bool:
    return cause.confidence >= OPEN_AT and _would_account_for(cause, finding)


def _still_accounts_for(past: _Past, finding: Finding, now: float) -> bool:
    return now - past.seen_at <= _AFTERMATH_S[past.pattern] and _would_account_for(past, finding)


def _would_account_for(cause: Finding | _Past, finding: Finding) -> bool:
    if _RANK[cause.pattern] >= _RANK[finding.pattern]:
        return False
    if finding.pattern in _WHOLLY.get(cause.pattern, ()):
        return True
    return cause.explains is None or (bool(finding.sources) and cause.explains.issuperset(finding.sources))


def _is_news(verdict: Verdict, finding: Finding, now: float) -> bool:
    """A further source is news after a second; one less only once in a while, for it may well be back."""
    if finding.sources == verdict.sources:
        return False
    more = not set(finding.sources) <= set(verdict.sources)
    return now - verdict.at >= (_MORE_AFTER_S if more else _FEWER_AFTER_S)


def _verdict(finding: Finding, now: float) -> Verdict:
    return Verdict(
        pattern=finding.pattern,
        scope=finding.scope,
        state=VerdictState.OPENED,
        at=now,
        opened_at=now,
        confidence=finding.confidence,
        sources=finding.sources,
        summary=finding.summary,
        window_s=finding.window_s,
        root=finding.root,
        evidence=finding.evidence,
        traces=finding.traces,
    )
