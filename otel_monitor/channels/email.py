"""Alerts by email, over SMTP."""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from otel_monitor.channels.address import Address, Resolver, connect
from otel_monitor.channels.channel import Delivered, Receipt, Rejected, Retry
from otel_monitor.channels.deadline import Deadline
from otel_monitor.channels.email_message import email_message
from otel_monitor.channels.progress import Progress
from otel_monitor.channels.secret import Secret, SecretError, without
from otel_monitor.channels.text import line
from otel_monitor_processors.alerts.notification import Notification
from otel_monitor_processors.guard import guard

PORTS = {"none": 25, "starttls": 587, "tls": 465}
"""The usual port for each kind of security."""

Refusals = dict[str, tuple[int, bytes]]

_MAX_REPLY = 200
_REFUSED = "refused "


class EmailChannel:
    """Sends one message to all `recipients` over a new connection.

    `security` is `starttls` (it is never done without), `tls` or `none`; `ca_file` names the certificates to
    trust in place of the system's. A recipient whom the server refuses for good (5xx) is left out and named in
    the receipt, one whom it refuses for now (4xx) gets the message when it is sent again, and nobody gets it twice.
    `timeout` bounds the whole, `connect_timeout` the connection, in seconds.
    """

    def __init__(
        self,
        name: str,
        *,
        host: str,
        sender: str,
        recipients: Sequence[str],
        port: int | None = None,
        security: str = "starttls",
        username: str | None = None,
        password: Secret | None = None,
        ca_file: str | None = None,
        connect_timeout: float = 10.0,
        timeout: float = 30.0,
    ) -> None:
        self.name = name
        self._server = Address("smtp", host, PORTS[security] if port is None else port, "")
        self._sender = sender
        self._recipients = tuple(dict.fromkeys(recipients))
        self._security = security
        self._username = username
        self._password = password
        self._ca_file = ca_file
        self._connect_timeout_s = connect_timeout
        self._timeout_s = timeout
        self._resolver = Resolver(name)
        self._progress = Progress()

    @guard("channels.email", default=Retry("an internal error"))
    def send(self, notification: Notification) -> Receipt:
        try:
            password = self._password.reveal_ascii() if self._password is not None else None
        except SecretError as error:
            return Retry(str(error))
        done = self._progress.of(notification.id)
        open_recipients = [recipient for recipient in self._recipients if recipient not in done]
        message = email_message(notification, self._sender, self._recipients).as_bytes()
        deadline = Deadline(self._timeout_s)
        try:
            refused = self._submit(message, open_recipients, password, deadline)
        except smtplib.SMTPRecipientsRefused as error:
            refused = error.recipients
        except (OSError, smtplib.SMTPException, ValueError) as error:
            return self._failure(error, deadline, password or "")
        receipt = self._receipt(done, open_recipients, refused)
        if not isinstance(receipt, Retry):
            self._progress.finish(notification.id)
        return receipt

    def close(self) -> None:
        """Each message has its own connection: none is open."""

    def _submit(self, message: bytes, recipients: list[str], password: str | None, deadline: Deadline) -> Refusals:
        """The recipients who were refused, where the server has taken the message for at least one."""
        context = ssl.create_default_context(cafile=self._ca_file) if self._security != "none" else None
        server = _Connection(self._server, self._resolver, deadline, self._connect_timeout_s)
        with deadline.breaking_off(lambda: server.sock):
            try:
                server.open(context if self._security == "tls" else None)
                server.ehlo_or_helo_if_needed()
                if self._security == "starttls":
                    server.starttls(context=context)
                    server.ehlo()
                if self._username is not None and password is not None:
                    server.login(self._username, password)
                refused = server.sendmail(self._sender, recipients, message)
                with suppress(OSError, smtplib.SMTPException):  # the message has been taken, whatever comes now
                    server.sock.settimeout(1)
                    server.quit()
                return refused
            finally:
                server.close()

    def _receipt(self, done: set[str], recipients: Sequence[str], refused: Refusals) -> Receipt:
        later = {recipient for recipient, (code, _) in refused.items() if not _for_good(code)}
        never = [recipient for recipient, (code, _) in refused.items() if _for_good(code)]
        done.update(recipient for recipient in recipients if recipient not in later)
        done.update(_REFUSED + recipient for recipient in never)
        refusals = sum(part.startswith(_REFUSED) for part in done)
        reason = "; ".join(f"{recipient}: {_reply(*refused[recipient])}" for recipient in [*never, *sorted(later)])
        if later:
            return Retry(line(f"refused for now: {reason}"))
        if refusals == len(self._recipients):
            return Rejected(line(f"all recipients refused: {reason}"))
        taken = f"{len(self._recipients) - refusals} of {len(self._recipients)} recipients"
        return Delivered(line(f"{taken}; refused: {reason}") if never else taken)

    def _failure(self, error: Exception, deadline: Deadline, password: str) -> Receipt:
        if deadline.passed:
            return Retry(f"timeout: not done within {deadline.total_s:g} s")
        # A reply that is a `str` is none of the server's: smtplib says so that it cannot make sense of one.
        if isinstance(error, smtplib.SMTPResponseException) and isinstance(error.smtp_error, bytes):
            what = "log in: " if isinstance(error, smtplib.SMTPAuthenticationError) else ""
            reason = without(f"{what}{_reply(error.smtp_code, error.smtp_error)}", [password])
            return Rejected(reason) if _for_good(error.smtp_code) else Retry(reason)
        if isinstance(error, smtplib.SMTPNotSupportedError):
            return Rejected(f"{self._server.host}: {line(error, _MAX_REPLY)}")
        return Retry(without(line(f"{type(error).__name__}: {error}", _MAX_REPLY), [password]))

    def __repr__(self) -> str:
        return f"EmailChannel({self.name!r}, {self._server.host}:{self._server.port}, {self._security})"


class _Connection(smtplib.SMTP):
    """A connection that is made within a deadline, and that asks no name server for our own name."""

    sock: socket.socket

    def __init__(self, server: Address, resolver: Resolver, deadline: Deadline, connect_timeout_s: float) -> None:
        super().__init__(local_hostname=_own_name())
        self._server = server
        self._resolver = resolver
        self._deadline = deadline
        self._connect_timeout_s = connect_timeout_s
        self._host = server.host  # the name that `starttls` expects in the certificate

    def open(self, context: ssl.SSLContext | None) -> None:
        """Connect, over TLS where a context is given, and read the greeting."""
        self.sock = connect(self._server, None, self._resolver, self._deadline, self._connect_timeout_s)
        if context is not None:
            self.sock = context.wrap_socket(self.sock, server_hostname=self._server.host)
        self.sock.settimeout(self._deadline.at_most(self._deadline.total_s))
        self.file: Any = None
        code, text = self.getreply()
        if code != 220:
            raise smtplib.SMTPConnectError(code, text)


def _own_name() -> str:
    name = socket.gethostname()
    return name if name.isascii() and name.replace(".", "").replace("-", "").isalnum() else "localhost"


def _for_good(code: int) -> bool:
    return 500 <= code < 600


def _reply(code: int, text: bytes | str) -> str:
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return f"{code} {line(words, _MAX_REPLY)}"
