"""Programs that share a store, on virtual time: their services step and deliver as their threads would."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from otel_monitor.alerting.service import AlertService
from otel_monitor.channels.channel import Delivered, Receipt
from otel_monitor.store.outbox import Outbox
from otel_monitor.testing.clock import VirtualClock
from otel_monitor_processors.alerts.alert import AlertTransition
from otel_monitor_processors.alerts.dispatcher import Dispatcher
from otel_monitor_processors.alerts.notification import Notification
from tests.alerting.services import RETENTION_S

_REAL_S = 30.0
"""So long may deliveries take in reality, whatever the virtual clock says."""


class Hook:
    """The one receiver behind a channel of all programs. `answers` says what becomes of what arrives."""

    def __init__(
        self, name: str, clock: VirtualClock, answers: Callable[[Notification], Receipt] = lambda _: Delivered()
    ) -> None:
        self.name = name
        self.tried_at: list[float] = []
        self.got_at: list[float] = []
        self.got: list[Notification] = []
        self._clock = clock
        self._answers = answers

    def send(self, notification: Notification) -> Receipt:
        self.tried_at.append(self._clock())
        receipt = self._answers(notification)
        if isinstance(receipt, Delivered):
            self.got_at.append(self._clock())
            self.got.append(notification)
        return receipt

    def close(self) -> None:
        """Nothing is open."""


class Share(random.Random):
    """Jitter that is always the same share of the longest wait."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self._share = share

    def random(self) -> float:
        return self._share


class Programs:
    """A program for each of `names`, all with the same hooks and the same store; without a path each in its memory.

    `rng` spreads their retries; they look at what is due every `step_s` seconds.
    """

    def __init__(
        self,
        path: Path | None,
        clock: VirtualClock,
        hooks: Iterable[Hook],
        dispatcher: Callable[[], Dispatcher],
        *,
        names: Sequence[str] = ("shop",),
        rng: random.Random | None = None,
        step_s: float = 0.05,
    ) -> None:
        self._clock = clock
        self._step_s = step_s
        self._steps = 0
        makes = {hook.name: partial(lambda hook: hook, hook) for hook in hooks}
        self.running = [
            AlertService(makes, dispatcher, store_path=path, name=name, retention_s=RETENTION_S, clock=clock)
            for name in names
        ]
        for one in self.running:
            shelf = one.keeper.shelf
            retries = Outbox(shelf.database, RETENTION_S, rng or Share(0.5), me=shelf.owner)
            one.keeper.use(replace(shelf, outbox=retries))

    def until(self, now: float) -> None:
        """Let time pass."""
        while (at := (self._steps + 1) * self._step_s) < now:
            self._steps += 1
            self._go(at)
        self._go(now)

    def push(self, *transitions: AlertTransition, to: Iterable[AlertService] = ()) -> None:
        """Something happens to alerts now, and every program sees it, or those of `to`."""
        for one in list(to) or self.running:
            for transition in transitions:
                one(transition)
        self._go(self._clock())

    def ask(self, body: dict[str, Any]) -> dict[str, Any]:
        """What whoever dispatches answers to a request."""
        dispatch = self.running[-1].keeper.shelf.dispatch
        seq = dispatch.ask(body, self._clock())
        self._go(self._clock())
        answer = dispatch.answer(seq)
        assert answer is not None
        return answer

    def _go(self, now: float) -> None:
        self._clock.now = max(self._clock.now, now)  # a receiver may have taken longer
        for one in self.running:
            while one.step(self._clock()):
                continue
            one.deliver(_REAL_S)

    def hang(self, one: AlertService) -> None:
        """A program does nothing any more, and is not dead."""
        self.running.remove(one)

    def kill(self, one: AlertService) -> None:
        """A program ends without a word."""
        self.running.remove(one)
        one.keeper.close()
