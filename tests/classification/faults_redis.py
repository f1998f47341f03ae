"""Faults of Redis, and of kombu and RQ on top of it."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import kombu
import redis
import redis.asyncio
from rq.timeouts import UnixSignalDeathPenalty

from otel_monitor_processors.classification import Category
from tests.classification.children import no_descriptors_left
from tests.classification.faults import fault
from tests.classification.peers import HOST, UNRESOLVABLE, hang_up, peer, refusing, reset, silent, unreachable
from tests.polling import eventually
from tests.servers import Redis

CONTENTION, NETWORK, TIMEOUT = Category.CONTENTION, Category.NETWORK, Category.TIMEOUT
RESOURCE, APPLICATION = Category.RESOURCE, Category.APPLICATION

broker: Any = kombu


@contextmanager
def client(port: int, **options: Any) -> Iterator[Any]:
    """A client that does not try again."""
    options.setdefault("host", HOST)
    options.setdefault("socket_timeout", 5)
    options.setdefault("retry", redis.retry.Retry(redis.backoff.NoBackoff(), 0))
    with redis.Redis(port=port, **options) as ours:
        yield ours


@contextmanager
def configured(server: Redis, **settings: object) -> Iterator[Any]:
    """The server with other settings, for a while."""
    names = {name: name.replace("_", "-") for name in settings}
    with client(server.port) as admin:
        before = {name: admin.config_get(names[name])[names[name]] for name in settings}
        for name, value in settings.items():
            admin.config_set(names[name], value)
        try:
            yield admin
        finally:
            for name, value in before.items():
                admin.config_set(names[name], value)


def ping(port: int, **options: Any) -> None:
    with client(port, **options) as ours:
        ours.ping()


@fault("redis: refused", NETWORK)
def _() -> None:
    ping(refusing())


@fault("redis: name does not resolve", NETWORK)
def _() -> None:
    ping(6379, host=UNRESOLVABLE)


@fault("redis: reset", NETWORK)
def _() -> None:
    with peer(reset) as port:
        ping(port)


@fault("redis: hung up", NETWORK)
def _() -> None:
    with peer(hang_up) as port:
        ping(port)


@fault("redis: silent", TIMEOUT)
def _() -> None:
    with silent() as port:
        ping(port, socket_timeout=0.05)


@fault("redis: connect timed out", TIMEOUT)
def _() -> None:
    with unreachable() as port:
        ping(port, socket_connect_timeout=0.05)


@fault("redis: no descriptors left", RESOURCE)
def _() -> None:
    with no_descriptors_left():
        ping(1)


@fault("redis, async: refused", NETWORK)
def _() -> None:
    async def ping_async() -> None:
        once = redis.asyncio.retry.Retry(redis.backoff.NoBackoff(), 0)
        async with redis.asyncio.Redis(host=HOST, port=refusing(), retry=once) as ours:
            await ours.ping()

    asyncio.run(ping_async())


@fault("redis: connection killed by an operator", NETWORK, "redis_server")
def _(redis_server: Redis) -> None:
    def kill_who_waits() -> None:
        with client(redis_server.port) as admin:
            eventually(lambda: admin.info("clients")["blocked_clients"])
            admin.client_kill_filter(_type="normal", skipme=True)

    killer = threading.Thread(target=kill_who_waits)
    killer.start()
    try:
        with client(redis_server.port) as ours:
            ours.blpop("nothing", 4)
    finally:
        killer.join()


@fault("redis: server stopped", NETWORK, "redis_server")
def _(redis_server: Redis) -> None:
    with client(redis_server.port) as ours:
        ours.ping()
        redis_server.stop()
        try:
            ours.ping()
        finally:
            redis_server.start()


@fault("redis: server busy for too long", TIMEOUT, "redis_server")
def _(redis_server: Redis) -> None:
    with client(redis_server.port, socket_timeout=0.05) as ours:
        ours.execute_command("DEBUG", "SLEEP", "0.2")


@fault("redis: server's limit of clients", RESOURCE, "redis_server")
def _(redis_server: Redis) -> None:
    with configured(redis_server, maxclients=1):
        ping(redis_server.port)


@fault("redis: server's memory is full", RESOURCE, "redis_server")
def _(redis_server: Redis) -> None:
    with configured(redis_server, maxmemory=1), client(redis_server.port) as ours:
        ours.set("k", "v")


@fault("redis: snapshots fail", RESOURCE, "redis_server")
def _(redis_server: Redis) -> None:
    with configured(redis_server, save="3600 1") as admin:
        admin.set("k", "v")
        folder = redis_server.folder / "dump.rdb"
        folder.mkdir()
        try:
            admin.bgsave()
            eventually(lambda: admin.info("persistence")["rdb_last_bgsave_status"] == "err")
            with client(redis_server.port) as ours:
                ours.set("k", "v")
        finally:
            folder.rmdir()
            admin.save()


@fault("redis: a replica is written to", NETWORK, "redis_server")
def _(redis_server: Redis) -> None:
    with client(redis_server.port) as ours:
        ours.replicaof(HOST, refusing())
        try:
            ours.set("k", "v")
        finally:
            ours.replicaof("NO", "ONE")


@fault("redis: a replica without its primary", NETWORK, "redis_server")
def _(redis_server: Redis) -> None:
    with configured(redis_server, replica_serve_stale_data="no"), client(redis_server.port) as ours:
        ours.replicaof(HOST, refusing())
        try:
            ours.get("k")
        finally:
            ours.replicaof("NO", "ONE")


@fault("redis: too few replicas", NETWORK, "redis_server")
def _(redis_server: Redis) -> None:
    with configured(redis_server, min_replicas_to_write=1), client(redis_server.port) as ours:
        ours.set("k", "v")


@fault("redis: still loading", RESOURCE, "redis_server")
def _(redis_server: Redis) -> None:
    with configured(redis_server, key_load_delay=2000, loading_process_events_interval_bytes=1024) as admin:
        admin.execute_command("DEBUG", "POPULATE", "500", "key", "1000")
        loading = threading.Thread(target=lambda: admin.execute_command("DEBUG", "RELOAD"))
        loading.start()
        try:
            with client(redis_server.port) as ours:
                while loading.is_alive():
                    ours.get("k")
        finally:
            loading.join()
            admin.flushall()


@fault("redis: a script holds the server", CONTENTION, "redis_server")
def _(redis_server: Redis) -> None:
    with configured(redis_server, busy_reply_threshold=1) as admin, client(redis_server.port) as holder:
        script = threading.Thread(target=lambda: _until_killed(holder))
        script.start()
        try:
            with client(redis_server.port) as ours:
                while True:
                    ours.get("k")
        finally:
            admin.script_kill()
            script.join()


def _until_killed(holder: Any) -> None:
    try:
        holder.eval("while true do end", 0)
    except redis.ResponseError as error:
        assert "killed" in str(error)  # noqa: PT017 - on the thread that this happens on


@fault("redis: watched key changed", CONTENTION, "redis_server")
def _(redis_server: Redis) -> None:
    with client(redis_server.port) as ours, client(redis_server.port) as theirs, ours.pipeline() as pipeline:
        pipeline.watch("watched")
        theirs.incr("watched")
        pipeline.multi()
        pipeline.incr("watched")
        pipeline.execute()


@fault("redis: lock held by another", CONTENTION, "redis_server")
def _(redis_server: Redis) -> None:
    with client(redis_server.port) as ours, ours.lock("held", timeout=10), ours.lock("held", blocking_timeout=0.05):
        pass


@fault("redis: lock expired meanwhile", CONTENTION, "redis_server")
def _(redis_server: Redis) -> None:
    with client(redis_server.port) as ours:
        lock = ours.lock("expiring", timeout=10)
        lock.acquire()
        ours.delete("expiring")
        lock.release()


@fault("redis: client's limit of connections", RESOURCE, "redis_server")
def _(redis_server: Redis) -> None:
    pool = redis.ConnectionPool(host=HOST, port=redis_server.port, max_connections=1)
    pool.get_connection()
    pool.get_connection()


@fault("redis: client's blocking pool is empty", RESOURCE, "redis_server")
def _(redis_server: Redis) -> None:
    make: Any = redis.BlockingConnectionPool
    pool = make(host=HOST, port=redis_server.port, max_connections=1, timeout=0.05)
    pool.get_connection()
    pool.get_connection()


@fault("redis: wrong password", APPLICATION, "redis_server")
def _(redis_server: Redis) -> None:
    ping(redis_server.port, username="somebody", password="wrong")


@fault("redis: password missing", APPLICATION, "redis_server")
def _(redis_server: Redis) -> None:
    with configured(redis_server, requirepass="secret"):
        ping(redis_server.port)


@fault("redis: not allowed", APPLICATION, "redis_server")
def _(redis_server: Redis) -> None:
    with client(redis_server.port) as admin:
        admin.acl_setuser("reader", enabled=True, nopass=True, commands=["+ping"], reset=True)
    with client(redis_server.port, username="reader", password="any") as ours:
        ours.get("k")


@fault("redis: wrong type", APPLICATION, "redis_server")
def _(redis_server: Redis) -> None:
    with client(redis_server.port) as ours:
        ours.set("text", "v")
        ours.lpush("text", "v")


def publish(url: str, **options: Any) -> None:
    """Send a task as Celery does."""
    with broker.Connection(url, transport_options={"max_retries": 0, **options}) as connection:
        producer = connection.Producer()
        producer.publish({}, routing_key="q", declare=[broker.Queue("q")], retry=False)


@fault("kombu: broker refuses", NETWORK)
def _() -> None:
    publish(f"redis://{HOST}:{refusing()}/0")


@fault("kombu: broker's limit of clients", RESOURCE, "redis_server")
def _(redis_server: Redis) -> None:
    with configured(redis_server, maxclients=1):
        publish(f"redis://{HOST}:{redis_server.port}/0")


@fault("kombu: broker's memory is full", RESOURCE, "redis_server")
def _(redis_server: Redis) -> None:
    with configured(redis_server, maxmemory=1):
        publish(f"redis://{HOST}:{redis_server.port}/0")


@fault("kombu, amqp: broker refuses", NETWORK)
def _() -> None:
    publish(f"amqp://{HOST}:{refusing()}//")


@fault("kombu, amqp: broker hangs up", NETWORK)
def _() -> None:
    with peer(hang_up) as port:
        publish(f"amqp://{HOST}:{port}//")


@fault("kombu: all connections of the pool in use", RESOURCE)
def _() -> None:
    with broker.Connection("memory://") as connection:
        pool = connection.Pool(limit=1)
        pool.acquire()
        pool.acquire(block=True, timeout=0.01)


@fault("rq: job takes too long", TIMEOUT)
def _() -> None:
    limit: Any = UnixSignalDeathPenalty
    with limit(1):
        signal.pause()
