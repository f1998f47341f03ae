"""How late records of a recording usually are: so long others wait for them, from five seconds up to thirty."""

from __future__ import annotations

import math
from collections import deque

LEAST_S = 5.0
LONGEST_S = 30.0

_LINES = 400
_LOOK_EVERY = 50
_LEFT_OUT = 0.01


class Lateness:
    """Watches by how much the oldest record of each line is behind the newest of all lines before it.

    A sender that exports every five or ten seconds hands over what happened so long ago: its records are no
    exception but the rule, and are waited for. One line in a hundred may be later without changing anything.

    Args:
        least_s: the bound where everything is in time, and before enough lines were seen to know.
        longest_s: the largest bound there may be.

    Attributes:
        bound_s: how far behind the newest event time a record may be now, in seconds.
    """

    def __init__(self, least_s: float = LEAST_S, longest_s: float = LONGEST_S) -> None:
        self.bound_s = least_s
        self._least_s = least_s
        self._longest_s = longest_s
        self._behind: deque[float] = deque(maxlen=_LINES)
        self._lines = 0

    def note(self, behind_s: float) -> None:
        """A line has arrived whose oldest record is so far behind; not finite where there is none to compare."""
        if not math.isfinite(behind_s):
            return
        self._behind.append(behind_s)
        self._lines += 1
        if self._lines % _LOOK_EVERY == 0:
            within = sorted(behind for behind in self._behind if behind <= self._longest_s)
            fewer = int(_LEFT_OUT * len(self._behind)) - (len(self._behind) - len(within))
            usual_s = within[-1 - max(0, fewer)] if within else 0.0
            self.bound_s = max(self._least_s, usual_s)
