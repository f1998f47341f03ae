"""Channels in settings: `{"on-call": {"type": "pagerduty", "routing_key": "env:PAGERDUTY_KEY"}}`.

Each type has its own keys. What may hold a secret is never repeated in a message about it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import voluptuous as v

from otel_monitor.channels.address import parse
from otel_monitor.channels.secret import PlainUrl, Secret, located
from otel_monitor.settings_alerts import rate_limit
from otel_monitor.settings_shapes import by_name, fields, listed
from otel_monitor.settings_values import Value, boolean, choice, json_from, nearest, number, text
from otel_monitor_processors.alerts.rate_limit import RateLimit

Check = Callable[[Any], Any]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_MAILBOX = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*")
_HOST = re.compile(r"[A-Za-z0-9._:-]{1,253}")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]{0,4000}")
_SECRET_HEADER = re.compile(r"auth|cookie|key|pass|secret|token", re.IGNORECASE)
_OUR_HEADERS = frozenset(
    {
        "connection",
        "content-length",
        "content-type",
        "host",
        "idempotency-key",
        "otel-monitor-signature",
        "transfer-encoding",
    }
)
_HANDLER = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_SCHEME = re.compile(r"[a-z0-9]{1,30}")
_REFERENCE = "env:NAME or file:PATH, so that the secret itself stands elsewhere"


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """One channel: `options` are the keys of its type as they were given, secrets as references."""

    name: str
    type: str
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    rate_limit: RateLimit | None = None


def secret(raw: Any) -> Secret:
    """A reference to a secret; what is given instead may be the secret, and is not shown."""
    if isinstance(raw, str) and Secret.is_reference(raw):
        return Secret(raw)
    raise v.Invalid(f"expected a reference: {_REFERENCE}")


def url(raw: Any) -> Secret | PlainUrl:
    """A URL, or a reference to one."""
    if isinstance(raw, str) and Secret.is_reference(raw):
        return Secret(raw)
    if not isinstance(raw, str):
        raise v.Invalid("expected a URL such as https://host/path, or a reference to one: env:NAME or file:PATH")
    try:
        parse(raw)
    except ValueError as error:
        raise v.Invalid(f"{error}; a URL with a secret in it is given as a reference: env:NAME or file:PATH") from None
    return PlainUrl(raw)


def _matching(pattern: re.Pattern[str], expected: str) -> Check:
    def check(raw: Any) -> str:
        if isinstance(raw, str) and pattern.fullmatch(raw):
            return raw
        raise v.Invalid(f"expected {expected}, got {raw!r}")

    return check


def _header(name: str, raw: Any) -> Secret | str:
    if not _HEADER_NAME.fullmatch(name):
        raise v.Invalid("this is not the name of an HTTP header")
    if name.lower() in _OUR_HEADERS:
        raise v.Invalid("this header is set by the channel itself")
    if isinstance(raw, str) and Secret.is_reference(raw):
        return Secret(raw)
    if _SECRET_HEADER.search(name):
        raise v.Invalid(f"expected a reference: {_REFERENCE}")
    if isinstance(raw, str) and _HEADER_VALUE.fullmatch(raw):
        return raw
    raise v.Invalid("expected one line of printable ASCII, or a reference: env:NAME or file:PATH")


def _headers(raw: Any) -> Any:
    if not isinstance(raw, dict):
        raise v.Invalid(f"expected an object of names and values, got {type(raw).__name__}")
    return by_name(_header)(raw)


def _several(check: Check) -> Check:
    def check_all(raw: Any) -> tuple[Any, ...]:
        if not isinstance(raw, list) or not raw:
            raise v.Invalid("expected a list of at least one")
        values: tuple[Any, ...] = listed(check)(raw)
        return values

    return check_all


_mailbox = _matching(_MAILBOX, "an address such as on-call@example.com")
_seconds = number(0.1, 600)

_HTTP: dict[str, Check] = {
    "headers": _headers,
    "connect_timeout": _seconds,
    "read_timeout": _seconds,
    "timeout": _seconds,
    "allow_private": boolean,
    "follow_redirects": boolean,
    "ca_file": text,
}

TYPES: dict[str, tuple[dict[str, Check], tuple[str, ...]]] = {
    "alertmanager": ({"url": url, "resend": number(1, 3600), **_HTTP}, ("url",)),
    "apprise": (
        {
            "urls": _several(secret),
            "schemes": _several(_matching(_SCHEME, "a scheme such as tgram")),
            "timeout": _seconds,
        },
        ("urls",),
    ),
    "callable": (
        {"handler": _matching(_HANDLER, "a function as package.module:function"), "timeout": _seconds},
        ("handler",),
    ),
    "console": ({"color": choice("auto", "always", "never"), "timeout": _seconds}, ()),
    "email": (
        {
            "host": _matching(_HOST, "a host such as smtp.example.com"),
            "port": number(1, 65535, whole=True),
            "security": choice("starttls", "tls", "none"),
            "username": text,
            "password": secret,
            "sender": _mailbox,
            "recipients": _several(_mailbox),
            "ca_file": text,
            "connect_timeout": _seconds,
            "timeout": _seconds,
        },
        ("host", "sender", "recipients"),
    ),
    "file": (
        {
            "path": text,
            "max_bytes": number(1000, whole=True),
            "max_files": number(1, 1000, whole=True),
            "fsync": choice("always", "never"),
            "timeout": _seconds,
        },
        ("path",),
    ),
    "pagerduty": ({"routing_key": secret, "url": url, **_HTTP}, ("routing_key",)),
    "slack": ({"url": secret, **_HTTP}, ("url",)),
    "webhook": (
        {
            "url": url,
            "secret": secret,
            "format": choice("json", "cloudevents"),
            "source": _matching(re.compile(r"[!-~]{1,200}"), "a URI without spaces"),
            **_HTTP,
        },
        ("url",),
    ),
}
"""Each type's keys, and those that it needs."""


def has_console(channels: Mapping[str, ChannelSettings]) -> bool:
    """Whether one of them writes to the console: it takes the place of the line that is written at once otherwise."""
    return any(channel.type == "console" for channel in channels.values())


def _channel(name: str, raw: Any) -> ChannelSettings:
    if not _NAME.fullmatch(name):
        raise v.Invalid("the name of a channel has letters, digits, '_', '-' and '.', 64 at most")
    if not isinstance(raw, dict):  # not shown: it may be the URL of a webhook
        raise v.Invalid(f'expected an object such as {{"type": "console"}}, got {type(raw).__name__}')
    kind = raw.get("type")
    if kind not in TYPES:
        what = "required: one of" if kind is None else f"{kind!r} is not one of"
        raise v.Invalid(f"{what} {', '.join(TYPES)}{nearest(str(kind), TYPES)}", path=["type"])
    keys, required = TYPES[kind]
    errors: list[v.Invalid] = []
    values: dict[str, Any] = {}
    try:
        values = fields({"type": text, "rate_limit": rate_limit, **keys}, required)(raw)
    except v.MultipleInvalid as error:
        errors += error.errors
    if kind == "email":
        errors += _email_contradictions(raw)
    if errors:
        raise v.MultipleInvalid(errors)
    options = {key: located(value, f"channels.{name}.{key}") for key, value in values.items() if key in keys}
    return ChannelSettings(name, kind, MappingProxyType(options), values.get("rate_limit"))


def _email_contradictions(raw: Mapping[str, Any]) -> list[v.Invalid]:
    problems = []
    for one, other in (("username", "password"), ("password", "username")):
        if one in raw and other not in raw:
            problems.append(v.Invalid(f"required with {one}", path=[other]))
    if "username" in raw and raw.get("security") == "none" and raw.get("host") not in ("localhost", "127.0.0.1", "::1"):
        problems.append(
            v.Invalid(
                "without TLS the password would be readable on its way: choose starttls or tls", path=["security"]
            )
        )
    return problems


def _channels(raw: Any) -> dict[str, ChannelSettings]:
    if not isinstance(raw, dict):
        raise v.Invalid(f"expected an object of channels by name, got {type(raw).__name__}")
    values: dict[str, ChannelSettings] = by_name(_channel)(raw)
    return values


CHANNELS = Value("object", _channels, json_from)
