"""What an error means for the health of a system."""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import Final, Literal


class Category(StrEnum):
    """The kinds of failure. Control flow (cancellation, retry signals, StopIteration) has none: it is no error."""

    CONTENTION = "contention"
    NETWORK = "network"
    TIMEOUT = "timeout"
    RESOURCE = "resource"
    WORKER_LOST = "worker_lost"
    APPLICATION = "application"


class Flow(Enum):
    """What looks like an error and is none."""

    CONTROL = "control"


CONTROL: Final = Flow.CONTROL

Meaning = Category | Literal[Flow.CONTROL]
"""What one piece of evidence says; where it says nothing, there is None instead."""

PRECEDENCE: Final = (
    Category.CONTENTION,
    Category.RESOURCE,
    Category.WORKER_LOST,
    Category.NETWORK,
    Category.TIMEOUT,
    Category.APPLICATION,
)
"""Of several errors at once the first of these explains the others: a held lock or a full disk times out many."""
