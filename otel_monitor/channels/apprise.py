"""Alerts to any of the services that Apprise knows (`pip install otel-monitor[apprise]`).

Apprise is let in through a filter: only the schemes that are allowed, no attachments, no redirects, no retries
of its own (the outbox retries), nothing of it in any log.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Self
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

from otel_monitor.channels.channel import Delivered, Receipt, Rejected, Retry
from otel_monitor.channels.progress import Progress
from otel_monitor.channels.secret import Secret, SecretError
from otel_monitor.channels.text import parted, plain, shortened, subject
from otel_monitor.channels.worker import BusyError, Worker
from otel_monitor_processors.alerts.notification import Notification, Status
from otel_monitor_processors.alerts.rule import Severity
from otel_monitor_processors.guard import guard

SCHEMES = (
    "discord",
    "gchat",
    "gotifys",
    "matrixs",
    "mmosts",
    "ntfys",
    "pover",
    "rockets",
    "slack",
    "tgram",
    "twilio",
    "workflows",
    "wxteams",
    "zulip",
)
"""Allowed unless the setting `schemes` says otherwise: services spoken to over TLS, none of this machine's own."""

_CONTROLS = frozenset({"attach", "attachment", "redirect", "retry", "wait"})
_TALKATIVE = frozenset({"apprise", "oauthlib", "requests", "requests_oauthlib", "urllib3"})
_MAX_BODY = 8000
_STATUS = re.compile(r"error[=: ]+(\d{3})\b")


class AppriseChannel:
    """Sends each notification to each of `urls`, references to Apprise's URLs, which hold their secrets.

    A service that has taken it does not get it again when another one has it sent again. `timeout` is the total
    in seconds; what Apprise has not done by then it goes on doing, and the next notification waits for it.
    """

    def __init__(
        self, name: str, *, urls: Sequence[Secret], schemes: Collection[str] = SCHEMES, timeout: float = 30.0
    ) -> None:
        self.name = name
        self._urls = tuple(urls)
        self._schemes = frozenset(schemes)
        self._timeout_s = timeout
        self._worker = Worker(f"otel-monitor-apprise-{name}")
        self._progress = Progress()

    @guard("channels.apprise", default=Retry("an internal error"))
    def send(self, notification: Notification) -> Receipt:
        try:
            open_urls = [(url, filtered(url.reveal(), self._schemes)) for url in self._urls]
        except SecretError as error:
            return Retry(str(error))
        except ValueError as error:
            return Rejected(str(error))
        done = self._progress.of(notification.id)
        call = _Delivery(notification, [(url, text) for url, text in open_urls if url.reference not in done], done)
        try:
            receipt = self._worker.run(call, self._timeout_s)
        except BusyError:
            return Retry("Apprise has not come back from an earlier notification yet")
        except TimeoutError:
            call.given_up.set()
            return Retry(f"timeout: Apprise took longer than {self._timeout_s:g} s")
        except ImportError:
            return Rejected("the package apprise is not installed: pip install 'otel-monitor[apprise]'")
        except Exception as error:  # noqa: BLE001 - a plugin's: its text may hold the URL, its type does not
            return Retry(f"Apprise raised {type(error).__qualname__}")
        if not isinstance(receipt, Retry):
            self._progress.finish(notification.id)
        return receipt

    def close(self) -> None:
        """A call that has not come back is left alone: its thread ends with the process."""

    def __repr__(self) -> str:
        return f"AppriseChannel({self.name!r}, {[url.reference for url in self._urls]})"


def filtered(url: str, schemes: Collection[str]) -> str:
    """`url` without what would have Apprise retry, follow redirects or fetch files.

    Raises:
        ValueError: its scheme is not allowed. The message has nothing else of the URL.
    """
    parts = urlsplit(url)
    if parts.scheme.lower() not in schemes:
        shown = parts.scheme if re.fullmatch(r"[a-z0-9]{1,20}", parts.scheme) else "?"
        raise ValueError(f"the scheme {shown}:// is not among the allowed ones ({', '.join(sorted(schemes))})")
    pairs = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if _kept(name)]
    query = "&".join(f"{quote(name, safe='+:-')}={quote(value, safe='')}" for name, value in pairs)
    return urlunsplit((parts.scheme, parts.netloc, parts.path, f"{query}&retry=0".lstrip("&"), ""))


def _kept(name: str) -> bool:
    return name.strip().lower() not in _CONTROLS


class _Delivery:
    """One notification on its way through Apprise, in the worker's thread."""

    def __init__(self, notification: Notification, urls: Sequence[tuple[Secret, str]], done: set[str]) -> None:
        self._notification = notification
        self._urls = urls
        self._done = done
        self.given_up = threading.Event()

    def __call__(self) -> Receipt:
        import apprise

        failures: list[str] = []
        worth_retrying = False
        for url, text in self._urls:
            if self.given_up.is_set():
                break
            with _Silence(_loggers()) as silence:
                accepted = self._notify(apprise, text)
            if accepted:
                self._done.add(url.reference)
                continue
            status = silence.status
            worth_retrying |= status is None or status in (408, 429) or status >= 500
            failures.append(f"{url.reference}: " + ("not sent" if status is None else f"HTTP {status}"))
        if not failures:
            return Delivered()
        return Retry("; ".join(failures)) if worth_retrying else Rejected("; ".join(failures))

    def _notify(self, apprise: Any, url: str) -> bool:
        plugin = apprise.Apprise.instantiate(url, asset=_asset(apprise))
        if plugin is None:  # Apprise does not understand the URL, or has the service switched off
            return False
        return bool(
            plugin.notify(
                title=parted(subject(self._notification)),
                body=shortened(parted(plain(self._notification)), _MAX_BODY),
                notify_type=apprise.NotifyType(_kind(self._notification)),
                body_format=apprise.NotifyFormat.TEXT,
                attach=None,
            )
        )


def _kind(notification: Notification) -> str:
    if notification.status is Status.RESOLVED:
        return "success"
    return "failure" if notification.severity.number >= Severity.CRITICAL.number else "warning"


def _asset(apprise: Any) -> Any:
    asset = apprise.AppriseAsset(plugin_paths=[], secure_logging=True)
    asset.async_mode = False
    asset.interpret_escapes = False
    asset.interpret_emojis = False
    asset.default_service_retry = 0
    asset.http_redirects = False
    return asset


def _loggers() -> list[logging.Logger]:
    """The loggers of Apprise and of what it speaks HTTP with, which may not have been imported yet."""
    there = [name for name in list(logging.root.manager.loggerDict) if name.partition(".")[0] in _TALKATIVE]
    return [logging.getLogger(name) for name in {*there, "urllib3.connectionpool", "urllib3.util.retry"}]


class _Silence(logging.Filter):
    """Inside the block, keeps what this thread logs through these loggers, headers and URLs, out of all logs.

    The status of the last HTTP answer is all that is taken from it.
    """

    def __init__(self, loggers: Iterable[logging.Logger]) -> None:
        super().__init__()
        self._loggers = list(loggers)
        self._thread = threading.get_ident()
        self.status: int | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        if record.thread != self._thread:
            return True
        found = _STATUS.search(record.getMessage())
        if found:
            self.status = int(found[1])
        return False

    def __enter__(self) -> Self:
        for logger in self._loggers:
            logger.addFilter(self)
        return self

    def __exit__(self, *_: object) -> None:
        for logger in self._loggers:
            logger.removeFilter(self)
