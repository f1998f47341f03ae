"""A certificate authority of our own, and servers that trust it."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.channels.alertmanager_server import Alertmanager, alertmanager_telling
from tests.channels.http_peer import Peer, http_peer


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


@pytest.fixture(scope="session")
def server_context(authority: trustme.CA) -> ssl.SSLContext:
    """TLS with a certificate for `localhost` and 127.0.0.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def peer() -> Iterator[Peer]:
    with http_peer() as peer:
        yield peer


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("s3cr3t-value\n")
    return path


@pytest.fixture(scope="module")
def told() -> Iterator[Peer]:
    """What the Alertmanager tells of alerts."""
    with http_peer() as peer:
        yield peer


@pytest.fixture(scope="module")
def alertmanager(told: Peer) -> Iterator[Alertmanager]:
    with alertmanager_telling(told.url) as server:
        yield server
