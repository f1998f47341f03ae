"""The tasks that an orchestrator has given to workers, and that workers here are running."""

from __future__ import annotations

from collections import OrderedDict
from enum import StrEnum
from threading import RLock
from typing import NamedTuple

from otel_monitor.telemetry.fleet import Fleet
from otel_monitor_processors import drops

MAX_TASKS = 10_000


class Reason(StrEnum):
    """Why a worker was given a task."""

    NEW = "new"
    REBALANCE = "rebalance"
    FAILOVER = "failover"
    RETRY = "retry"


class Plan(NamedTuple):
    """What an assignment is, before it is known whether it succeeds."""

    reason: Reason
    attempt: int | None
    moved: bool
    duplicate: bool


class Task:
    """Who has a task."""

    __slots__ = ("assigned_at", "attempt", "generation", "worker")

    def __init__(self, worker: str, generation: int, attempt: int, at: float) -> None:
        self.worker = worker
        self.generation = generation
        self.attempt = attempt
        self.assigned_at: float | None = at
        """When it was assigned, until its processing has begun here."""


class Tasks:
    """All tasks by id; beyond the limit the one that nothing happened to for longest leaves."""

    def __init__(self, fleet: Fleet, limit: int = MAX_TASKS) -> None:
        self._fleet = fleet
        self._limit = limit
        self._lock = RLock()  # guards everything below; taken before the fleet's, never after
        self._tasks: OrderedDict[str, Task] = OrderedDict()
        self._running: dict[str, int] = {}
        self._unnamed = 0
        """How many pieces of work without an id are running."""

    def plan(self, task_id: str | None, worker: str | None, reason: str | None, in_rebalance: bool) -> Plan:
        """Why this task goes to this worker, from what happened to it before."""
        given = _reason(reason) or (Reason.REBALANCE if in_rebalance else None)
        with self._lock:
            task = self._tasks.get(task_id) if task_id is not None else None
            if task is None:
                return Plan(given or Reason.NEW, 1 if task_id is not None else None, moved=False, duplicate=False)
            orphaned = self._fleet.generation(task.worker) != task.generation
            same = task.worker == worker
            chosen = given or _derived(orphaned, same)
            again = chosen in (Reason.RETRY, Reason.FAILOVER)
            duplicate = chosen is Reason.NEW and not orphaned and not same
            return Plan(chosen, task.attempt + again, moved=not same, duplicate=duplicate)

    def assigned(self, task_id: str, worker: str, plan: Plan, at: float) -> None:
        """The task has been given to the worker."""
        with self._lock:
            task = self._tasks.pop(task_id, None)
            if task is None and len(self._tasks) >= self._limit:
                _, task = self._tasks.popitem(last=False)
                drops.count("tasks", "task_limit")
            if task is not None and self._fleet.generation(task.worker) == task.generation:
                self._fleet.add_assigned(task.worker, -1)
            generation = self._fleet.add_assigned(worker, 1)
            self._tasks[task_id] = Task(worker, generation, plan.attempt or 1, at)

    def started(self, task_id: str | None, at: float) -> tuple[float | None, bool]:
        """Its processing begins here: how long it has waited since it was assigned here, and whether it ran already."""
        with self._lock:
            self._unnamed += task_id is None
            if task_id is None:
                return None, False
            running = self._running.get(task_id, 0)
            if running or len(self._running) < self._limit:
                self._running[task_id] = running + 1
            else:
                drops.count("tasks", "running_limit")
            task = self._tasks.get(task_id)
            if task is None or task.assigned_at is None:
                return None, running > 0
            waited_s, task.assigned_at = max(0.0, at - task.assigned_at), None
            return waited_s, running > 0

    def ended(self, task_id: str | None) -> None:
        """Its processing has ended. One that was assigned here stays so: a stream has many pieces of work."""
        with self._lock:
            if task_id is None:
                self._unnamed -= self._unnamed > 0
                return
            running = self._running.pop(task_id, 0)
            if running > 1:
                self._running[task_id] = running - 1

    def counts(self) -> dict[str, int]:
        """Tasks by state; those of a worker that is gone are pending. Empty when there are none."""
        with self._lock:
            running = sum(self._running.values()) + self._unnamed
            given = [(task.worker, task.generation) for task in self._tasks.values()]
        if not (given or running):
            return {}
        assigned = sum(self._fleet.generation(worker) == generation for worker, generation in given)
        return {"pending": len(given) - assigned, "assigned": assigned, "running": running}

    def reset_after_fork(self) -> None:
        """In a child: the tasks are the parent's."""
        self._lock = RLock()
        self._tasks = OrderedDict()
        self._running = {}
        self._unnamed = 0


def _reason(text: str | None) -> Reason | None:
    return Reason(text) if text in _REASONS else None


def _derived(orphaned: bool, same: bool) -> Reason:
    if orphaned:
        return Reason.FAILOVER
    return Reason.RETRY if same else Reason.NEW


_REASONS = frozenset(Reason)
