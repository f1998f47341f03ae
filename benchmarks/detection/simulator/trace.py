"""Spans as the programs pass them on: ids and nothing else. What is recorded of them is the observer's affair."""

from __future__ import annotations

from typing import NamedTuple


class Span(NamedTuple):
    """A span under way: its own ids, its parent's, and whether the trace is sampled."""

    trace_id: int
    span_id: int
    parent_id: int
    sampled: bool
