"""Free loopback ports."""

from __future__ import annotations

import itertools
import os
import random
import socket

# Below the range that the kernel takes the ports of outgoing connections from: such a one cannot come in between.
_FIRST, _LAST = 15_000, 32_000
_candidates = itertools.cycle(random.Random(os.getpid()).sample(range(_FIRST, _LAST), _LAST - _FIRST))


def free_port() -> int:
    """A loopback port that nobody listens on, another one at each call."""
    for port in itertools.islice(_candidates, _LAST - _FIRST):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError(f"no free port between {_FIRST} and {_LAST}")
