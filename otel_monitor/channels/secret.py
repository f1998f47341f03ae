"""Secrets by reference: `env:NAME` or `file:PATH`, read when they are needed and shown nowhere."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol
from urllib.parse import urlsplit

from otel_monitor.errors import OtelMonitorError, Problem

_MAX_BYTES = 65536
_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
HIDDEN = "***"


class SecretError(OtelMonitorError):
    """A secret cannot be had: its variable is not set, its file is not there or not readable."""


class Concealed(Protocol):
    """A text that only `reveal` gives away."""

    def reveal(self) -> str:
        """The text itself. Raises SecretError when it cannot be had."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A reference to a secret, and the setting that holds the reference: all that is ever shown.

    A file is read anew each time, so that a secret can be changed while the program runs; a line end
    after it is not part of it.
    """

    reference: str
    path: str = ""

    @staticmethod
    def is_reference(text: str) -> bool:
        kind, _, rest = text.partition(":")
        return (kind == "env" and _ENVIRONMENT_NAME.fullmatch(rest) is not None) or (kind == "file" and rest != "")

    def reveal_ascii(self) -> str:
        """The secret itself, for a protocol that takes printable ASCII alone. Raises SecretError like `reveal`."""
        text = self.reveal()
        if not (text.isascii() and text.isprintable()):
            raise self._error("has other characters than printable ASCII, which cannot be sent")
        return text

    def reveal(self) -> str:
        """The secret itself.

        Raises:
            SecretError: it cannot be had, and why.
        """
        kind, _, rest = self.reference.partition(":")
        text = self._variable(rest) if kind == "env" else self._file(rest)
        if not text:
            raise self._error("is empty")
        if any(character in text for character in "\r\n\0"):
            raise self._error("has more than one line: a secret is one line of text")
        if any("\ud800" <= character <= "\udfff" for character in text):  # how the environment holds foreign bytes
            raise self._error("is not UTF-8 text")
        return text

    def _variable(self, name: str) -> str:
        text = os.environ.get(name)
        if text is None:
            raise self._error("is not set in the environment of this process")
        return text

    def _file(self, path: str) -> str:
        try:
            # Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise self._error("is not a regular file")
                content = file.read(_MAX_BYTES + 1)
        except OSError as error:
            raise self._error(f"cannot be read: {error.strerror or type(error).__name__}") from None
        if len(content) > _MAX_BYTES:
            raise self._error(f"is larger than {_MAX_BYTES} bytes")
        try:
            return content.decode().rstrip("\r\n")
        except UnicodeDecodeError:
            raise self._error("is not UTF-8 text") from None

    def _error(self, what: str) -> SecretError:
        where = f"{self.path}: " if self.path else ""
        return SecretError(f"{where}{self.reference} {what}")


@dataclass(frozen=True, slots=True)
class PlainUrl:
    """A URL that stands in the configuration as it is. What it shows has no values of its query."""

    text: str = field(repr=False)

    def reveal(self) -> str:
        return self.text

    def __str__(self) -> str:
        return redacted_url(self.text)

    def __repr__(self) -> str:
        return f"PlainUrl({self})"


def redacted_url(text: str) -> str:
    """`text` without user, password, fragment and the values of its query."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return HIDDEN
    host = f"[{host}]" if ":" in host else host
    where = f"{parts.scheme}://{host}" + (f":{port}" if port is not None else "") + parts.path
    names = [pair.partition("=")[0] for pair in parts.query.split("&") if pair]
    return where + ("?" + "&".join(f"{name}={HIDDEN}" for name in names) if names else "")


def without(text: str, secrets: Iterable[str]) -> str:
    """`text` with every occurrence of a secret hidden: a server may answer with what it was sent."""
    for secret in sorted({secret for secret in secrets if len(secret) >= 4}, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def located(value: Any, path: str) -> Any:
    """`value` with every secret in it knowing that it is the setting at `path`."""
    if isinstance(value, Secret):
        return replace(value, path=path)
    if isinstance(value, Mapping):
        return {key: located(item, f"{path}.{key}") for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(located(item, f"{path}.{index}") for index, item in enumerate(value))
    return value


def missing(value: Any) -> list[Problem]:
    """Every secret in `value` that cannot be had now, with its path."""
    if isinstance(value, Secret):
        try:
            value.reveal()
        except SecretError as error:
            return [Problem(value.path, str(error).removeprefix(f"{value.path}: "))]
        return []
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, tuple) else ()
    return [problem for item in items for problem in missing(item)]
