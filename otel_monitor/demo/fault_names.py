"""The names of the faults, apart from the faults themselves, so that the command line stays light."""

from __future__ import annotations

from enum import StrEnum


class FaultName(StrEnum):
    """What the demo can do to its fleet."""

    KILL9 = "kill9"
    PARTITION = "partition"
    SIGSTOP = "sigstop"
    DBLOCK = "dblock"
    SKEW = "skew"
    JITTER = "jitter"
    CASCADE = "cascade"
    CPU = "cpu"
    OOM = "oom"
    NONE = "none"
