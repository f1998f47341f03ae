"""Real database servers that tests start: on free loopback ports, with their data in a temporary folder.

PostgreSQL and MariaDB refuse to run as root: then they run as the user that their package has made.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import pytest

from tests.polling import eventually
from tests.ports import free_port

HOST = "127.0.0.1"
# However the tests end, the kernel ends their servers, too.
_ENDS_WITH_US = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []


class Server:
    """One server, from `start` to `stop`; it may be started again, on the same data and port."""

    package: ClassVar[str]
    program: ClassVar[str]
    user: ClassVar[str | None] = None

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix=f"{self.program}-"))
        self._account = pwd.getpwnam(self.user) if self.user and os.geteuid() == 0 else None
        if self._account is not None:
            os.chown(self.folder, self._account.pw_uid, self._account.pw_gid)
        self._process: subprocess.Popen[bytes] | None = None
        self.prepare()

    @classmethod
    def find(cls, program: str) -> str | None:
        """Where a program of the package is."""
        return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")

    @classmethod
    def require(cls) -> None:
        """Skip the test that asks for the server where it is not installed."""
        if cls.find(cls.program) is None:
            pytest.skip(f"needs {cls.program}: apt-get install {cls.package}")

    def prepare(self) -> None:
        """Make the data folder."""

    def command(self) -> list[str]:
        """The server in the foreground."""
        raise NotImplementedError

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it accepts connections."""
        with (self.folder / "output").open("ab") as output:
            self._process = self._spawn(self.command(), output.fileno())
        eventually(self._accepts_or_ended, timeout_s=30, what=f"{self.program} accepting connections")
        if self._process.poll() is not None:
            raise RuntimeError(f"{self.program} ended: {self.output[-2000:]}")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it and wait for that."""
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def remove(self) -> None:
        """End it without mercy, and delete its data."""
        self.stop(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def output(self) -> str:
        return (self.folder / "output").read_text(errors="replace")

    def run(self, *command: str | Path) -> None:
        """Run a program of the server's package to its end, as the server's user."""
        with (self.folder / "output").open("ab") as output:
            code = self._spawn([str(word) for word in command], output.fileno()).wait(60)
        assert code == 0, f"{command}: {self.output[-2000:]}"

    def _spawn(self, command: list[str], output: int) -> subprocess.Popen[bytes]:
        account = self._account
        return subprocess.Popen(
            [*_ENDS_WITH_US, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=self.folder,
            user=None if account is None else account.pw_uid,
            group=None if account is None else account.pw_gid,
            extra_groups=None if account is None else [],
            env={"PATH": os.environ.get("PATH", ""), "HOME": str(self.folder), "LC_ALL": "C"},
        )

    def _accepts_or_ended(self) -> bool:
        return self.is_ready() or (self._process is not None and self._process.poll() is not None)

    def is_ready(self) -> bool:
        """Whether it answers."""
        with suppress(OSError), socket.create_connection((HOST, self.port), timeout=1):
            return True
        return False


class PostgreSQL(Server):
    """A PostgreSQL server with the superuser `postgres`, who needs no password."""

    package = "postgresql"
    program = "postgres"
    user = "postgres"
    max_connections = 12

    @classmethod
    def find(cls, program: str) -> str | None:
        """Debian keeps the server's programs out of the PATH, in a folder per version."""
        versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"), key=lambda path: int(path.parts[4]))
        return str(versions[-1]) if versions else super().find(program)

    def prepare(self) -> None:
        initdb = self.find("initdb")
        assert initdb is not None
        self.run(initdb, "-D", self.folder / "data", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-locale", "-N")

    def command(self) -> list[str]:
        settings = {
            "listen_addresses": HOST,
            "port": self.port,
            "unix_socket_directories": self.folder,
            "fsync": "off",
            "max_connections": self.max_connections,
            "superuser_reserved_connections": 3,
            "max_locks_per_transaction": 10,
            "deadlock_timeout": "20ms",
            "log_min_messages": "panic",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [self.find("postgres") or "", "-D", str(self.folder / "data"), *options]

    def is_ready(self) -> bool:
        """It accepts connections long before it serves any: ask its own tool."""
        ask = [self.find("pg_isready") or "pg_isready", "-q", "-h", HOST, "-p", str(self.port)]
        return subprocess.run(ask, check=False).returncode == 0

    @property
    def dsn(self) -> str:
        return f"host={HOST} port={self.port} user=postgres dbname=postgres"


class MariaDB(Server):
    """A MariaDB server with the user `root`, who needs no password."""

    package = "mariadb-server"
    program = "mariadbd"
    user = "mysql"
    max_connections = 10

    def prepare(self) -> None:
        install = self.find("mariadb-install-db") or ""
        self.run(
            install,
            "--no-defaults",
            f"--datadir={self.folder / 'data'}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--skip-name-resolve",
        )

    def command(self) -> list[str]:
        return [
            self.find("mariadbd") or "",
            "--no-defaults",
            f"--datadir={self.folder / 'data'}",
            f"--socket={self.folder / 'socket'}",
            f"--pid-file={self.folder / 'pid'}",
            f"--tmpdir={self.folder}",
            f"--port={self.port}",
            f"--bind-address={HOST}",
            f"--max-connections={self.max_connections}",
            "--skip-name-resolve",
            "--skip-log-bin",
            "--innodb-buffer-pool-size=16M",
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-flush-method=nosync",
            "--innodb-lock-wait-timeout=1",
            "--lc-messages=en_US",
        ]


class Redis(Server):
    """A Redis server without a password."""

    package = "redis-server"
    program = "redis-server"

    def command(self) -> list[str]:
        return [
            self.find("redis-server") or "",
            *("--bind", HOST, "--port", str(self.port), "--dir", str(self.folder)),
            *("--save", "", "--appendonly", "no", "--enable-debug-command", "yes", "--maxclients", "40"),
        ]
