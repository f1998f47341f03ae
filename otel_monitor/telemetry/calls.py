"""One call of a wrapped function, from its begin to its end."""

from __future__ import annotations

from contextvars import Token
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanContext

from otel_monitor_processors.classification import Category
from otel_monitor_processors.observation import Outcome, TraceRef

if TYPE_CHECKING:
    from otel_monitor.instrumentation.operation import Operation
    from otel_monitor.telemetry.activity import Activity
    from otel_monitor.telemetry.assignments import Rebalance
    from otel_monitor.telemetry.tasks import Plan
    from otel_monitor.telemetry.telemetry import Telemetry


class Call:
    """What is known of a call while it runs. Fields without a default in `__init__` are set as its role needs them."""

    __slots__ = (
        "activity",
        "attached",
        "attempt",
        "began_at",
        "carrier",
        "category",
        "context",
        "duration_s",
        "entered",
        "error_type",
        "operation",
        "outcome",
        "plan",
        "reason",
        "rebalance",
        "span",
        "started",
        "task_id",
        "task_name",
        "telemetry",
        "token",
        "trace",
        "trace_context",
        "waited_s",
        "worker",
    )

    def __init__(self, telemetry: Telemetry, operation: Operation, context: Context) -> None:
        self.telemetry = telemetry
        self.operation = operation
        self.context = context
        """The context of the caller, and with it the parent of the span."""
        self.attached: Context | None = None
        """The context of the function's body, with its span."""
        self.token: Token[Context] | None = None
        self.span: Span | None = None
        self.trace: TraceRef | None = None
        self.trace_context: SpanContext | None = None
        """The span's context if it is sampled: what is not, nobody can look up."""
        self.activity: Activity
        self.entered: float
        self.began_at: float
        self.started: float
        self.worker: str | None = None
        self.task_id: str | None = None
        self.task_name: str | None = None
        self.reason: str | None
        self.attempt: int | None
        self.carrier: dict[str, Any] | None
        self.waited_s: float | None
        self.plan: Plan
        self.rebalance: Rebalance | None
        self.duration_s: float
        self.outcome: Outcome
        self.category: Category | None
        self.error_type: str | None

    @property
    def ended_at(self) -> float:
        return self.began_at + self.duration_s
