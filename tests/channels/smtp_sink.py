"""A real SMTP server on loopback, which keeps what it receives and refuses whom it is told to."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.ports import free_port

USER, PASSWORD = "monitor", "p4ss-w0rd"


@dataclass
class Sink:
    """What has been received, and what is answered to whom: to a recipient, to `DATA`."""

    port: int = 0
    envelopes: list[Envelope] = field(default_factory=list)
    refuse: dict[str, str] = field(default_factory=dict)
    at_data: str = "250 taken"
    hang_at_data: threading.Event | None = None
    sessions: list[Session] = field(default_factory=list)
    _messages: list[EmailMessage] = field(default_factory=list)

    @property
    def messages(self) -> list[EmailMessage]:
        """What has been received, each parsed once, when it is first asked for."""
        self._messages += map(_parsed, self.envelopes[len(self._messages) :])
        return self._messages

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, rcpt_options: list[str]
    ) -> str:
        refusal = self.refuse.get(address)
        if refusal is not None:
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.hang_at_data is not None:
            await asyncio.to_thread(self.hang_at_data.wait, 30)
        if self.at_data.startswith("250"):
            self.envelopes.append(envelope)
            self.sessions.append(session)
        return self.at_data


def _parsed(envelope: Envelope) -> EmailMessage:
    assert isinstance(envelope.content, bytes)
    message = message_from_bytes(envelope.content, policy=default)
    assert isinstance(message, EmailMessage)
    return message


def authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    good = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=good, handled=False)


@contextmanager
def smtp_sink(**options: Any) -> Iterator[Sink]:
    sink = Sink(port=free_port())
    controller = Controller(sink, hostname="127.0.0.1", port=sink.port, **options)
    controller.start()
    try:
        yield sink
    finally:
        if sink.hang_at_data is not None:
            sink.hang_at_data.set()
        controller.stop()


def starttls(context: ssl.SSLContext) -> dict[str, Any]:
    return {"tls_context": context, "require_starttls": True}


def authenticated(*, over_tls: bool = True) -> dict[str, Any]:
    return {"authenticator": authenticate, "auth_required": True, "auth_require_tls": over_tls}
