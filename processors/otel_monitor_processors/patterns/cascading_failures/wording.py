"""What is said of a cascade: findings, with their summaries and numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from otel_monitor_processors.observation import TraceRef
from otel_monitor_processors.patterns.cascading_failures.deaths import Chain
from otel_monitor_processors.patterns.cascading_failures.spread import Spread
from otel_monitor_processors.patterns.finding import Finding
from otel_monitor_processors.patterns.verdict import Pattern

_MAX_NAMES = 10
_SCOPE = "cascade"


def chain_finding(chain: Chain, confidence: float, window_s: float) -> Finding:
    """Workers have died one after the other."""
    why = f", each after it was given {chain.task}" if chain.task else ""
    names = ", then ".join(chain.workers[:_MAX_NAMES])
    return Finding(
        pattern=Pattern.CASCADING_FAILURES,
        scope=_SCOPE,
        confidence=confidence,
        sources=tuple(sorted(chain.workers)),
        root=chain.task or (chain.workers[0] if chain.workers else ""),
        summary=(
            f"workers died at {chain.steps} different times within {chain.last_at - chain.since:.0f} s, "
            f"one after the other{why}: {names or 'no telemetry says which'}"
        ),
        window_s=window_s,
        kind=chain.kind,
        score=chain.score,
        evidence={"task": chain.task, "order": list(chain.workers), "steps": chain.steps},
    )


def spread_finding(
    spread: Spread,
    confidence: float,
    window_s: float,
    sources: Iterable[str],
    failures: Mapping[str, int],
    traces: Iterable[TraceRef],
) -> Finding:
    """Failures have spread from service to service: `failures` of each of them, `sources` the instances concerned."""
    services = ", ".join(f"{name} ({count})" for name, count in failures.items())
    doubt = f"; but {spread.doubt}" if spread.doubt else ""
    return Finding(
        pattern=Pattern.CASCADING_FAILURES,
        scope=_SCOPE,
        confidence=confidence,
        sources=tuple(sources),
        root=spread.root,
        summary=f"failures have spread from {spread.root} over {services} for {spread.lasting_s:.0f} s{doubt}",
        window_s=window_s,
        kind=spread.kind,
        score=spread.score,
        evidence={
            "failures": dict(failures),
            "calls": [f"{caller} -> {callee}" for caller, callee in spread.edges[:_MAX_NAMES]],
            "lasting_s": round(spread.lasting_s, 1),
            "log10_p": round(-spread.score, 2),
        },
        traces=tuple(traces),
    )
