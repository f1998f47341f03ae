"""One HTTP address that a channel posts to: bounded in time, told apart by what may become of the message."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

from otel_monitor.channels.address import Address, ForbiddenAddressError, Gate, Resolver, connect, parse
from otel_monitor.channels.channel import Delivered, Receipt, Rejected, Retry
from otel_monitor.channels.deadline import Deadline
from otel_monitor.channels.secret import Concealed, PlainUrl, Secret, SecretError, without
from otel_monitor.channels.text import line

MAX_RETRY_AFTER_S = 3600.0
"""However long a server asks us to wait: after an hour it is tried again."""

_MAX_ANSWER = 65536
_MAX_SHOWN = 200
_MAX_REDIRECTS = 3
_LAST_WORDS_S = 0.5
_TRY_AGAIN = (408, 425, 429)
_REDIRECTS = (301, 302, 307, 308)


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """How an HTTP address is talked to; times in seconds, `timeout` being the total of one request.

    `headers` are sent along, their values references to secrets or plain text. `ca_file` names the
    certificates to trust in place of the system's.
    """

    headers: Mapping[str, Secret | str]
    connect_timeout: float = 5.0
    read_timeout: float = 10.0
    timeout: float = 15.0
    allow_private: bool = False
    follow_redirects: bool = False
    ca_file: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server has answered; `headers` have lower-case names, `body` is its harmless first line."""

    status: int
    headers: Mapping[str, str]
    body: str

    def receipt(self, now: float) -> Receipt:
        """What that means for the message. `now` is in unix seconds, for a `Retry-After` that is a date."""
        if 200 <= self.status < 300:
            return Delivered(str(self))
        if self.status in _TRY_AGAIN or self.status >= 500 or self.status < 200:
            return Retry(str(self), retry_after(self.headers.get("retry-after"), now))
        if self.status < 400:
            return Rejected(f"{self}: a redirect, which is not followed")
        return Rejected(str(self))

    def __str__(self) -> str:
        return f"HTTP {self.status}" + (f" {self.body}" if self.body else "")


class HttpTarget:
    """Posts to one configured URL, over a new connection each time."""

    def __init__(self, name: str, url: Concealed, options: HttpOptions) -> None:
        self._url = url
        self._options = options
        self._resolver = Resolver(name)
        self._context: ssl.SSLContext | None = None

    def __str__(self) -> str:
        if isinstance(self._url, PlainUrl):
            return str(self._url)
        return getattr(self._url, "reference", "***")

    def post(
        self,
        body: bytes,
        headers: Mapping[str, str],
        deadline: Deadline | None = None,
        hide: tuple[str, ...] = (),
        path: str = "",
    ) -> Answer | Retry | Rejected:
        """Post `body`; never raises for what the other side, the network or the configuration does.

        `path` is added to the URL's own. What is in `hide`, and every configured secret, is hidden in what the
        server answers.
        """
        limit = deadline or Deadline(self._options.timeout)
        try:
            url = self._url.reveal()
            own = {name: _revealed(value) for name, value in self._options.headers.items()}
        except SecretError as error:
            return Retry(str(error))
        secrets = (*hide, url, *own.values(), *(value.partition(" ")[2] for value in own.values()))
        try:
            configured = parse(url.rstrip("/") + path if path else url)
            if isinstance(self._url, Secret):
                secrets = (*secrets, configured.target)
            gate = Gate(configured, allow_private=self._options.allow_private)
            answer = self._follow(configured, gate, body, {**own, **headers}, limit)
        except ForbiddenAddressError as error:
            return Rejected(without(str(error), secrets))
        except TimeoutError as error:
            return Retry(f"timeout: {without(line(error, _MAX_SHOWN), secrets)}")
        except (OSError, http.client.HTTPException) as error:
            if limit.passed:
                return Retry(f"timeout: no whole answer within {limit.total_s:g} s")
            return Retry(without(line(f"{type(error).__name__}: {error}", _MAX_SHOWN), secrets))
        except ValueError as error:  # of `parse`: a secret, or a server's redirect, is no URL
            return Rejected(f"{self}: {error}")
        return Answer(answer.status, answer.headers, without(answer.body, secrets))

    def _follow(self, address: Address, gate: Gate, body: bytes, headers: dict[str, str], deadline: Deadline) -> Answer:
        for _ in range(_MAX_REDIRECTS + 1):
            answer = self._exchange(address, gate, body, headers, deadline)
            location = answer.headers.get("location")
            if answer.status not in _REDIRECTS or location is None or not self._options.follow_redirects:
                return answer
            there = address.joined(location)
            if address.secure and not there.secure:
                raise ForbiddenAddressError("a redirect from https to http: it is not followed")
            if there.origin != address.origin:
                headers = {name: value for name, value in headers.items() if name not in self._options.headers}
            address = there
        raise ForbiddenAddressError(f"more than {_MAX_REDIRECTS} redirects")

    def _exchange(
        self, address: Address, gate: Gate, body: bytes, headers: Mapping[str, str], deadline: Deadline
    ) -> Answer:
        sock = connect(address, gate, self._resolver, deadline, self._options.connect_timeout)
        with ExitStack() as opened:
            opened.callback(lambda: sock.close())  # noqa: PLW0108 - the socket of then: TLS wraps it
            opened.enter_context(deadline.breaking_off(lambda: sock))
            if address.secure:
                sock.settimeout(deadline.at_most(self._options.connect_timeout))
                sock = self._tls().wrap_socket(sock, server_hostname=address.host)
            sock.settimeout(deadline.at_most(self._options.read_timeout))
            connection = opened.enter_context(closing(http.client.HTTPConnection(address.host, address.port)))
            connection.sock = sock
            always = {"Host": address.host_header, "User-Agent": "otel-monitor", "Connection": "close"}
            connection.request("POST", address.target, body, {**always, **headers})
            response = opened.enter_context(closing(connection.getresponse()))
            deadline.at_most(deadline.total_s)  # what was broken off in its headers is no answer
            received = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, received, _body(response, sock))

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = ssl.create_default_context(cafile=self._options.ca_file)
        return self._context


def _body(response: http.client.HTTPResponse, connection: socket.socket) -> str:
    """What the answer says beyond its status, which has decided already: worth a moment, and no error."""
    content = b""
    with suppress(OSError, http.client.HTTPException, ValueError):
        connection.settimeout(_LAST_WORDS_S)
        content = response.read1(_MAX_ANSWER)
    return line(content.decode("utf-8", "replace"), _MAX_SHOWN)


def _revealed(value: Secret | str) -> str:
    return value.reveal_ascii() if isinstance(value, Secret) else value


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds that a `Retry-After` of seconds or of a date asks for, an hour at most; None where it says nothing."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), MAX_RETRY_AFTER_S)
    try:
        at = parsedate_to_datetime(text)
        seconds = at.replace(tzinfo=at.tzinfo or UTC).timestamp() - now
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)
