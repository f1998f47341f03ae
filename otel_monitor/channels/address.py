"""Where a URL leads: its parts, and whether the addresses behind its name may be connected to."""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit

from otel_monitor.channels.deadline import Deadline
from otel_monitor.channels.worker import BusyError, Worker

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
SocketAddress = tuple[socket.AddressFamily, tuple[str, int]]

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_SHARED = ipaddress.IPv4Network("100.64.0.0/10")
_TARGET_SAFE = "/%:=&?~+!$,;'@()*[]-._"
_HOST_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?")
_PRIVATE_ENDINGS = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".svc", ".cluster.local")


class ForbiddenAddressError(Exception):
    """The address is one that this URL may not lead to."""


@dataclass(frozen=True, slots=True)
class Address:
    """The parts of an http or https URL that a request needs; `target` is its path and query."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def secure(self) -> bool:
        return self.scheme == "https"

    @property
    def origin(self) -> str:
        """`https://host:port`: what may be shown of it."""
        return f"{self.scheme}://{self.host_header}"

    @property
    def host_header(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def joined(self, location: str) -> Address:
        """Where a redirect to `location` leads. Raises ValueError like `parse`."""
        return parse(urljoin(f"{self.origin}{self.target}", location))


_DEFAULT_PORTS = {"http": 80, "https": 443}


def parse(url: str) -> Address:
    """The address in `url`.

    Raises:
        ValueError: it is none. The message has nothing of the URL, which may be a secret.
    """
    if any(ord(character) <= 0x20 or ord(character) == 0x7F for character in url):
        raise ValueError("a URL has no spaces or control characters")
    try:
        parts = urlsplit(url)
        scheme, name, port = parts.scheme, parts.hostname or "", parts.port
    except ValueError:
        raise ValueError("expected a URL such as https://host/path") from None
    if scheme not in _DEFAULT_PORTS or not name:
        raise ValueError("expected a URL such as https://host/path")
    if "@" in parts.netloc:
        raise ValueError("a URL with a user name and password in it: give them in `headers`, as a reference")
    try:
        host = name if _literal(name) is not None else name.encode("idna").decode("ascii")
    except UnicodeError:
        raise ValueError("the URL's host is not a name") from None
    if _literal(host) is None and not _HOST_NAME.fullmatch(host):
        raise ValueError("the URL's host is not a name")
    path = quote(parts.path or "/", safe=_TARGET_SAFE, errors="replace")
    query = f"?{quote(parts.query, safe=_TARGET_SAFE, errors='replace')}" if parts.query else ""
    return Address(scheme, host, port if port is not None else _DEFAULT_PORTS[scheme], path + query)


class Gate:
    """Says which addresses may be connected to, by what has been configured.

    Public addresses may. Private and loopback ones may where `allow_private` is set, or where the configured
    host is such an address itself, or a name that only private networks have (`localhost`, no dot,
    `….internal`). Link-local addresses, where clouds keep credentials, only where they are configured as an
    address, or with `allow_private`.
    """

    def __init__(self, configured: Address, *, allow_private: bool) -> None:
        literal = _literal(configured.host)
        self._everything = allow_private
        self._exactly = None if literal is None else _unwrapped(literal)
        self._private = _private_name(configured.host) if self._exactly is None else _internal(self._exactly)

    def allows(self, address: IPAddress) -> bool:
        plain = _unwrapped(address)
        if self._everything or plain == self._exactly or (self._private and _internal(plain)):
            return True
        return plain.is_global and not (plain.is_multicast or plain.is_reserved)


class Resolver:
    """Looks names up, for only so long: the system's own resolver cannot be interrupted."""

    def __init__(self, name: str) -> None:
        self._worker = Worker(f"otel-monitor-resolver-{name}")

    def resolve(self, host: str, port: int, deadline: Deadline, limit_s: float) -> list[SocketAddress]:
        """The addresses of `host`.

        Raises:
            OSError: it has none, or they were not known in time (TimeoutError).
        """
        literal = _literal(host)
        if literal is not None:
            family = socket.AF_INET if literal.version == 4 else socket.AF_INET6
            return [(family, (str(literal), port))]
        try:
            found = self._worker.run(
                lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM), deadline.at_most(limit_s)
            )
        except (BusyError, TimeoutError):
            raise TimeoutError(f"the name {host} was not resolved in time") from None
        except UnicodeError:
            raise OSError(f"{host} is not a name that can be resolved") from None
        families = (socket.AF_INET, socket.AF_INET6)
        return [(family, (str(where[0]), port)) for family, *_, where in found if family in families]


def connect(
    address: Address, gate: Gate | None, resolver: Resolver, deadline: Deadline, limit_s: float
) -> socket.socket:
    """A connection to one of the addresses of a host, checked: the one that was checked is connected to.

    Raises:
        ForbiddenAddressError: the gate lets none of them through.
        OSError: none answers.
    """
    found = resolver.resolve(address.host, address.port, deadline, limit_s)
    allowed = [item for item in found if gate is None or gate.allows(ipaddress.ip_address(item[1][0].split("%")[0]))]
    if found and not allowed:
        raise ForbiddenAddressError(
            f"{address.host} leads to {found[0][1][0]}, which is not a public address: "
            "where that is meant, set allow_private to true"
        )
    last: OSError = OSError(f"{address.host} has no address")
    for family, where in allowed:
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.settimeout(deadline.at_most(limit_s))
            connection.connect(where)
        except OSError as error:
            connection.close()
            last = error
        else:
            return connection
    raise last


def _literal(host: str) -> IPAddress | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _private_name(host: str) -> bool:
    name = host.rstrip(".").lower()
    return "." not in name or name.endswith(_PRIVATE_ENDINGS)


def _internal(address: IPAddress) -> bool:
    if address.is_link_local or address.is_unspecified or address.is_multicast:
        return False
    return address.is_loopback or (address.is_private and not address.is_reserved) or address in _SHARED


def _unwrapped(address: IPAddress) -> IPAddress:
    """The IPv4 address inside an IPv6 address that stands for one."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64 or (int(address) >> 32 == 0 and int(address) > 1):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address
