"""What the alert service can do: transitions per second, time to a channel's socket, a restart, and evaluation.

    python benchmarks/alerts.py [--rounds 3] [--quick] [--json]

Each figure is the median of the rounds. The store is a file in a temporary folder, written as durably as always.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from otel_monitor.alerting.service import AlertService
from otel_monitor.channels.channel import Channel, Delivered, Receipt
from otel_monitor.channels.http_target import HttpOptions
from otel_monitor.channels.secret import PlainUrl
from otel_monitor.channels.webhook import WebhookChannel
from otel_monitor_processors.alerts.alert import Alert, AlertTransition, State, episode_id, fingerprint
from otel_monitor_processors.alerts.book import AlertBook
from otel_monitor_processors.alerts.dispatcher import Dispatcher
from otel_monitor_processors.alerts.lifecycle import Sample
from otel_monitor_processors.alerts.notification import Notification
from otel_monitor_processors.alerts.route import EVERY_LABEL, Route
from otel_monitor_processors.alerts.rule import Rule, Severity

DAY_S = 86_400.0
EACH_AT_ONCE = Route(group_by=(EVERY_LABEL,), group_wait_s=0.0, group_interval_s=60.0)
ONCE = Route(group_wait_s=0.0, group_interval_s=1e6)
BY_RULE = Route(group_wait_s=0.0, group_interval_s=60.0)


@dataclass(frozen=True)
class Figure:
    what: str
    value: float
    unit: str
    goal: float
    more_is_better: bool = False

    @property
    def reached(self) -> bool:
        return self.value >= self.goal if self.more_is_better else self.value <= self.goal


class Sink:
    """A channel that takes everything at once."""

    name = "sink"

    def send(self, notification: Notification) -> Receipt:
        return Delivered()

    def close(self) -> None:
        pass


def service(store: Path, route: Route, channel: Callable[[], Channel]) -> AlertService:
    return AlertService(
        {"sink": channel}, lambda: Dispatcher(["sink"], route), store_path=store, name="shop", retention_s=DAY_S
    )


def step(name: str, state: State, began_at: float, at: float) -> AlertTransition:
    labels = (("instance", name), ("service", "shop"))
    identity = fingerprint("slow", labels)
    alert = Alert(
        id=episode_id(identity, began_at),
        fingerprint=identity,
        rule="slow",
        labels=labels,
        severity=Severity.WARNING,
        state=state,
        active_at=began_at,
        fired_at=began_at,
        resolved_at=at if state is State.RESOLVED else None,
        value=6.5,
        threshold=5.0,
        summary=f"process on {name}: p95 duration 6.5 s over 60 s (120 calls, > 5)",
        evidence={"calls": 120, "failed": 3},
    )
    previous = State.FIRING if state is State.RESOLVED else State.PENDING
    return AlertTransition(at, alert, previous, "condition has held for 60 s (duration 60 s)")


def transitions_per_second(folder: Path, route: Route, count: int, clock: Callable[[], float]) -> float:
    """Alerts fire and are resolved; time counts until all is kept and every notification is in the outbox."""
    alerts = service(folder / f"rate-{time.monotonic_ns()}.db", route, Sink)
    alerts.restore()
    now = time.time()
    firing = [step(f"w{number}", State.FIRING, now, now) for number in range(count // 2)]
    resolved = [step(f"w{number}", State.RESOLVED, now, now + 1.0) for number in range(count // 2)]
    began = clock()
    for transitions, at in ((firing, now), (resolved, now + 61.0)):
        for transition in transitions:
            alerts(transition)
        while alerts.step(at):
            continue
    elapsed = clock() - began
    alerts.keeper.close()
    return count / elapsed


def latency_ms(folder: Path, count: int) -> float:
    """From the transition to the moment at which the channel's receiver accepts the connection; the 99th percentile."""
    listener = socket.create_server(("127.0.0.1", 0))
    accepted: list[float] = []
    news = threading.Event()

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            accepted.append(time.perf_counter())
            with connection:
                connection.recv(65_536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            news.set()

    threading.Thread(target=serve, daemon=True).start()
    url = PlainUrl(f"http://127.0.0.1:{listener.getsockname()[1]}/")
    options = HttpOptions(headers={}, allow_private=True)
    alerts = service(
        folder / f"latency-{time.monotonic_ns()}.db",
        EACH_AT_ONCE,
        lambda: WebhookChannel("sink", url=url, options=options),
    )
    alerts.restore()
    alerts.start()
    delays = []
    for number in range(count):
        news.clear()
        now = time.time()
        began = time.perf_counter()
        alerts(step(f"w{number}", State.FIRING, now, now))
        if not news.wait(10.0):
            raise SystemExit("no message came within ten seconds")
        delays.append((accepted[-1] - began) * 1e3)
    alerts.stop(5.0)
    listener.close()
    return sorted(delays)[math.ceil(0.99 * len(delays)) - 1]


def restart_s(folder: Path, stored: int, still_open: int) -> Callable[[], float]:
    """A store with so many alerts; from nothing to an engine's alerts and a dispatcher that can go on."""
    path = folder / "restart.db"
    before = service(path, ONCE, Sink)
    before.restore()
    now = time.time()
    for begin in range(0, stored, 5_000):
        numbers = range(begin, min(stored, begin + 5_000))
        for number in numbers:
            before(step(f"w{number}", State.FIRING, now, now))
        for number in numbers:
            if number >= still_open:
                before(step(f"w{number}", State.RESOLVED, now, now))
        while before.step(now):
            continue
        now += 2.0
        before.step(now)
    before.resign(now)
    before.keeper.close()

    def measure() -> float:
        began = time.perf_counter()
        after = service(path, ONCE, Sink)
        restored = after.restore()
        after.step(now + 1.0)
        elapsed = time.perf_counter() - began
        if len(restored.alerts) != still_open:
            raise SystemExit(f"{len(restored.alerts)} alerts restored instead of {still_open}")
        after.resign(now + 1.0)
        after.keeper.close()
        return elapsed

    return measure


def evaluation_s(rules: int, series: int) -> float:
    """CPU time of one evaluation of every rule on every series, a hundredth of which violate it."""
    book = AlertBook(1.0)
    made = [
        Rule(
            name=f"rule{number}", metric_name="queue.size", threshold=100.0, duration_s=60.0, severity=Severity.WARNING
        )
        for number in range(rules)
    ]
    labels = [(("instance", f"w{number}"),) for number in range(series)]
    samples = [Sample(pair, 150.0 if number % 100 == 0 else 50.0) for number, pair in enumerate(labels)]
    for rule in made:  # which also makes the pending alerts
        for _ in book.evaluate(rule, samples, 0.0):
            continue
    began = time.process_time()
    for rule in made:
        for _ in book.evaluate(rule, samples, 1.0):
            continue
    return time.process_time() - began


def measure(rounds: int, scale: float) -> list[Figure]:
    count = int(10_000 * scale)
    stored, still_open = int(100_000 * scale), int(10_000 * scale)
    with tempfile.TemporaryDirectory(prefix="otel-monitor-bench-") as name:
        folder = Path(name)
        restart = restart_s(folder, stored, still_open)

        def median(run: Callable[[], float]) -> float:
            return statistics.median(run() for _ in range(rounds))

        return [
            *(
                Figure(
                    f"transitions kept and dispatched, {how}, {per}",
                    median(partial(transitions_per_second, folder, route, count, clock)),
                    *("1/s", 5_000.0, True),
                )
                for how, route in (("a notification each", EACH_AT_ONCE), ("grouped by rule", BY_RULE))
                for per, clock in (("by the clock", time.perf_counter), ("by CPU time", time.process_time))
            ),
            Figure("breach to the channel's socket, p99", median(lambda: latency_ms(folder, 100)), "ms", 100.0),
            Figure(f"restart with {stored:,} stored alerts, {still_open:,} of them open", median(restart), "s", 2.0),
            Figure(
                "one evaluation of 1,000 rules x 1,000 series, CPU",
                median(lambda: evaluation_s(1_000, 1_000)),
                "s",
                1.0,
            ),
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a tenth of the alerts, two rounds")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    figures = measure(2, 0.1) if arguments.quick else measure(arguments.rounds, 1.0)
    if arguments.json:
        print(json.dumps([{**vars(figure), "reached": figure.reached} for figure in figures], indent=2))
        return
    print("| what | median | goal | |")
    print("|---|---:|---:|---|")
    for figure in figures:
        sign = ">=" if figure.more_is_better else "<="
        mark = "reached" if figure.reached else "NOT reached"
        print(f"| {figure.what} | {figure.value:,.4g} {figure.unit} | {sign} {figure.goal:,g} {figure.unit} | {mark} |")
    print(f"\n{os.cpu_count()} CPUs, load {load:.1f} at the start: what else runs makes every figure worse.")


if __name__ == "__main__":
    main()
