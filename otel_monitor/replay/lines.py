"""Lines of a file, packed or not, of bounded length."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from otel_monitor.replay.ledger import Ledger, Origin

STDIN = "-"
MAX_LINE_BYTES = 64 * 1024 * 1024
_BUFFER_BYTES = 1024 * 1024
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"


class Lines(Protocol):
    """A source of lines, with the name that messages call it."""

    name: str

    def lines(self, ledger: Ledger) -> Iterator[tuple[Origin, bytes]]:
        """Every line that is not empty."""

    def close(self) -> None:
        """Nobody reads on."""


class LineFile:
    """One file that could be opened; `name` is what messages call it.

    Raises:
        OSError: it cannot be opened, or nobody here can unpack it.
    """

    def __init__(self, path: str) -> None:
        self.name = "stdin" if path == STDIN else path
        stream = sys.stdin.buffer if path == STDIN else Path(path).open("rb", buffering=_BUFFER_BYTES)  # noqa: SIM115 - see `close`
        self._raw = cast("io.BufferedReader", stream)
        self._stream: BinaryIO = self._raw
        head = self._raw.peek(4)[:4]
        if head == _ZSTD:
            self._raw.close()
            raise OSError("packed with zstd; unpack it first: zstd -d")
        if head.startswith(_GZIP):
            self._stream = cast("BinaryIO", io.BufferedReader(gzip.GzipFile(fileobj=self._raw), _BUFFER_BYTES))

    def lines(self, ledger: Ledger) -> Iterator[tuple[Origin, bytes]]:
        """Every line that is not empty. What cannot be unpacked ends the file."""
        number = 0
        while True:
            number += 1
            origin = Origin(self.name, number)
            try:
                line = self._stream.readline(MAX_LINE_BYTES)
                too_long = len(line) == MAX_LINE_BYTES and not line.endswith(b"\n")
                while too_long and line and not line.endswith(b"\n"):
                    line = self._stream.readline(MAX_LINE_BYTES)
            except (EOFError, OSError, zlib.error) as error:
                ledger.refuse("the file breaks off", origin, detail=f" ({error})")
                return
            if too_long:
                ledger.refuse(f"line longer than {MAX_LINE_BYTES} bytes", origin)
            elif not line:
                return
            elif not line.isspace():
                yield origin, line

    def close(self) -> None:
        self._stream.close()
        self._raw.close()
