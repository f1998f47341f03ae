"""A limit on the time of one send, whatever the other side does with its connection."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


class Deadline:
    """Ends `total_s` seconds after it was made, by the monotonic clock."""

    def __init__(self, total_s: float) -> None:
        self.total_s = total_s
        self._end = time.monotonic() + total_s

    @property
    def left_s(self) -> float:
        """Seconds left, 0 when it has passed."""
        return max(0.0, self._end - time.monotonic())

    @property
    def passed(self) -> bool:
        return self.left_s == 0.0

    def at_most(self, limit_s: float) -> float:
        """`limit_s`, or what is left where that is less.

        Raises:
            TimeoutError: nothing is left.
        """
        left = self.left_s
        if left == 0.0:
            raise TimeoutError(f"not done within {self.total_s:g} s")
        return min(limit_s, left)

    @contextmanager
    def breaking_off(self, connection: Callable[[], socket.socket | None]) -> Iterator[None]:
        """Inside the block, shut the connection down when the deadline passes.

        A socket's own timeout starts anew with each byte that a slow server sends. Whoever waits for the
        connection then sees its end, and asks `passed` for the cause.
        """
        timer = threading.Timer(self.left_s, _shut_down, (connection,))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


def _shut_down(connection: Callable[[], socket.socket | None]) -> None:
    open_socket = connection()
    if open_socket is not None:
        with suppress(OSError):  # it has been closed meanwhile
            # Not the TLS socket's own method: that one changes state which the waiting thread is using.
            socket.socket.shutdown(open_socket, socket.SHUT_RDWR)
