"""A notification as an email: text and HTML, in a thread with the others of its group."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate
from html import escape

from otel_monitor.channels.text import MAX_SHOWN, facts, footer, headline, more, plain, subject
from otel_monitor_processors.alerts.notification import Notification


def email_message(notification: Notification, sender: str, recipients: Sequence[str]) -> EmailMessage:
    """The whole message. Its `Message-ID` is the notification's identity, the same when it is sent again.

    All messages of a group refer to one message that was never sent: mail readers show them as one thread,
    whichever of them arrived.
    """
    domain = sender.rpartition("@")[2]
    thread = hashlib.sha256(f"{notification.channel}\n{notification.group_key}".encode("utf-8", "replace"))
    root = f"<group.{thread.hexdigest()[:32]}@{domain}>"
    message = EmailMessage(policy=SMTP)
    message["Subject"] = subject(notification)
    message["From"] = Address("otel-monitor", addr_spec=sender)
    message["To"] = [Address(addr_spec=recipient) for recipient in recipients]
    message["Date"] = formatdate(notification.at)
    message["Message-ID"] = f"<{notification.id}@{domain}>"
    message["In-Reply-To"] = root
    message["References"] = root
    message["Auto-Submitted"] = "auto-generated"
    message["X-Otel-Monitor-Notification"] = notification.id
    message.set_content(plain(notification), cte="quoted-printable")
    message.add_alternative(html(notification), subtype="html", cte="quoted-printable")
    return message


def html(notification: Notification) -> str:
    """The same as the plain text, in tables; it loads nothing from anywhere."""
    parts = [f"<h3>{escape(subject(notification))}</h3>"]
    for alert in notification.alerts[:MAX_SHOWN]:
        rows = "".join(
            f'<tr><th align="left" valign="top">{escape(name)}</th><td>{escape(value)}</td></tr>\n'
            for name, value in facts(alert)
        )
        parts.append(f"<h4>{escape(headline(alert))}</h4>\n<table>\n{rows}</table>")
    parts += [f"<p>{escape(text)}</p>" for text in (more(notification), footer(notification)) if text]
    return "<!DOCTYPE html>\n<html><body>\n" + "\n".join(parts) + "\n</body></html>\n"
