"""Clears up after the demo when it could not do so itself, even after kill -9.

Started by path as a process of its own, with the demo holding the other end of its standard input. Lines
`+N` and `-N` there name process groups that were started and that have ended. At the end of the input the
groups still alive are killed, and the directories named as arguments are removed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys


def watch(directories: list[str]) -> None:
    """Read until the demo is gone, then leave nothing of it behind."""
    groups: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        if line[0] == "+":
            groups.add(group)
        else:
            groups.discard(group)
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    watch(sys.argv[1:])
