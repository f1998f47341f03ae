"""Classes as users write them. Each function makes one anew, so that a test can have it twice."""

from __future__ import annotations

import abc
import asyncio
import contextvars
import dataclasses
import enum
import functools
import sys
import threading
import types
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, overload, runtime_checkable

Item = TypeVar("Item")

TENANT: contextvars.ContextVar[str] = contextvars.ContextVar("tenant", default="nobody")


class BrokenStreamError(Exception):
    """A stream that cannot be read."""


def make_worker() -> Any:
    class Worker:
        """Works on streams."""

        limit = 10

        def __init__(self, worker_id: str = "w1") -> None:
            self.worker_id = worker_id
            self.done: list[Any] = []

        def __eq__(self, other: object) -> bool:
            return type(other).__name__ == "Worker" and vars(self) == vars(other)

        def __hash__(self) -> int:
            return hash(self.worker_id)

        def __call__(self, stream_id: str) -> str:
            return f"called with {stream_id}"

        def process_stream(self, stream_id: str, attempt: int = 1, *, priority: int = 0) -> tuple[Any, ...]:
            """Process one stream.

            >>> 1 + 1
            2
            """
            self.done.append(stream_id)
            return (stream_id, attempt, priority)

        process_stream.retries = 3  # type: ignore[attr-defined]

        def process_any(self, *parts: Any, **options: Any) -> tuple[Any, ...]:
            return parts, options

        def process_strictly(self, stream_id: str, /, size: int, *, force: bool) -> tuple[Any, ...]:
            return stream_id, size, force

        def fail(self, reason: str) -> None:
            raise BrokenStreamError(reason)

        def fail_because(self, reason: str) -> None:
            try:
                raise KeyError(reason)
            except KeyError as error:
                broken = BrokenStreamError("no stream")
                broken.add_note("seen by w1")
                raise broken from error

        def fail_while_handling(self) -> None:
            try:
                raise KeyError("first")
            except KeyError:
                raise BrokenStreamError("second")  # noqa: B904

        def fail_together(self) -> None:
            raise ExceptionGroup("all of them", [ValueError(1), BrokenStreamError("two")])

        def stop(self, error: BaseException) -> None:
            raise error

        def count_down(self, number: int) -> int:
            return 0 if number == 0 else 1 + self.count_down(number - 1)

        def set_tenant(self, name: str) -> str:
            TENANT.set(name)
            return threading.current_thread().name

        def caller_error(self) -> Any:
            return sys.exc_info()[1]

        alias = process_any

        @classmethod
        def create(cls, worker_id: str) -> Any:
            """Make one."""
            return cls(worker_id)

        @staticmethod
        def normalise(name: str) -> str:
            """Bring a name into form."""
            return name.strip().lower()

        async def process_later(self, stream_id: str, delay: float = 0.0) -> str:
            """Process one stream, some time."""
            await asyncio.sleep(delay)
            self.done.append(stream_id)
            return stream_id

        async def fail_later(self, reason: str) -> None:
            await asyncio.sleep(0)
            raise BrokenStreamError(reason)

        async def set_tenant_later(self, name: str) -> None:
            await asyncio.sleep(0)
            TENANT.set(name)

        async def clean_up_when_cancelled(self) -> None:
            try:
                await asyncio.sleep(60)
            finally:
                await asyncio.sleep(0)
                self.done.append("cleaned up")

        @types.coroutine
        def process_old_style(self, stream_id: str) -> Generator[Any, Any, str]:
            yield from asyncio.sleep(0).__await__()
            return stream_id

        def read(self, number: int) -> Generator[int, Any, str]:
            """Yield numbers."""
            try:
                for item in range(number):
                    answer = yield item
                    self.done.append(answer)
            except BrokenStreamError as error:
                yield -1
                self.done.append(str(error))
            finally:
                self.done.append("closed")
            return "end"

        def read_stubbornly(self) -> Generator[int, Any, None]:
            while True:
                try:
                    yield 1
                except GeneratorExit:
                    yield 2

        def read_and_fail(self) -> Iterator[int]:
            yield 1
            raise BrokenStreamError("after one")

        def read_errors(self) -> Generator[Any, Any, None]:
            try:
                yield 1
            except BrokenStreamError:
                pass
            yield sys.exc_info()[1]

        def read_all(self) -> Generator[int, Any, str]:
            first = yield from self.read(1)
            second = yield from self.read(1)
            return first + second

        async def watch(self, number: int) -> AsyncIterator[int]:
            """Yield numbers, some time."""
            try:
                for item in range(number):
                    await asyncio.sleep(0)
                    answer = yield item
                    self.done.append(answer)
            except BrokenStreamError as error:
                yield -1
                self.done.append(str(error))
            finally:
                await asyncio.sleep(0)
                self.done.append("closed")

        async def watch_stubbornly(self) -> AsyncIterator[int]:
            while True:
                try:
                    yield 1
                except GeneratorExit:
                    yield 2

        async def watch_and_fail(self) -> AsyncIterator[int]:
            yield 1
            raise BrokenStreamError("after one")

        async def watch_slowly(self) -> AsyncIterator[int]:
            yield 1
            await asyncio.sleep(60)

    return Worker


def make_descriptors() -> Any:
    class Named:
        """A descriptor that learns its name."""

        name = ""

        def __set_name__(self, owner: type, name: str) -> None:
            self.name = name

        def __get__(self, instance: object, owner: type) -> str:
            return f"{owner.__name__}.{self.name}"

    class Worker:
        named = Named()

        def __init__(self) -> None:
            self._size = 1

        @property
        def size(self) -> int:
            """How large it is."""
            return self._size

        @size.setter
        def size(self, value: int) -> None:
            self._size = value

        @functools.cached_property
        def made_once(self) -> list[int]:
            return [self._size]

        @functools.singledispatchmethod
        def take(self, value: object) -> str:
            return f"object {value}"

        @take.register
        def _(self, value: int) -> str:
            return f"int {value}"

        def process(self, stream_id: str, size: int = 1) -> tuple[str, int]:
            return stream_id, size

        process_twice = functools.partialmethod(process, size=2)

        @functools.lru_cache(maxsize=4)  # noqa: B019
        def look_up(self, key: str) -> str:
            return key.upper()

        class Settings:
            def process(self) -> str:
                return "nested"

        transform: Callable[[int], int] = abs

    return Worker


def make_slotted() -> Any:
    class Worker:
        __slots__ = ("__weakref__", "worker_id")

        def __init__(self) -> None:
            self.worker_id = "w1"

        def process(self) -> str:
            return self.worker_id

    return Worker


def make_dataclass(**options: Any) -> Callable[[], Any]:
    def make() -> Any:
        @dataclasses.dataclass(**options)
        class Worker:
            worker_id: str
            streams: list[str] = dataclasses.field(default_factory=list)

            def process(self, stream_id: str) -> str:
                return f"{self.worker_id} {stream_id}"

        return Worker

    return make


def make_abstract() -> Any:
    class Worker(abc.ABC):
        @abc.abstractmethod
        def process(self, stream_id: str) -> str:
            """Process a stream."""
            return stream_id

        def run_task(self, task_id: str) -> str:
            return self.process(task_id)

    return Worker


def make_protocol() -> Any:
    @runtime_checkable
    class Processor(Protocol):
        def process(self, stream_id: str) -> str:
            return stream_id

    return Processor


class Registering(type):
    """A metaclass with opinions."""

    def __setattr__(cls, name: str, value: object) -> None:
        raise AttributeError(f"{name} is not to be set")

    def __eq__(cls, other: object) -> bool:
        raise TypeError("classes are not to be compared")

    def __hash__(cls) -> int:
        raise TypeError("classes are not to be hashed")


def make_with_metaclass() -> Any:
    class Worker(metaclass=Registering):
        def process(self, stream_id: str) -> str:
            return stream_id

    return Worker


def make_enum() -> Any:
    class Mode(enum.Enum):
        FAST = 1
        SLOW = 2

        def process(self, stream_id: str) -> str:
            return f"{self.name} {stream_id}"

    return Mode


def make_named_tuple() -> Any:
    class Point(NamedTuple):
        x: int
        y: int = 0

        def process(self) -> int:
            return self.x + self.y

    return Point


def make_generic() -> Any:
    class Worker(Generic[Item]):
        def process(self, item: Item) -> Item:
            return item

    return Worker


def make_overloaded() -> Any:
    class Worker:
        @overload
        def process(self, value: int) -> int: ...
        @overload
        def process(self, value: str) -> str: ...
        def process(self, value: Any) -> Any:
            return value

    return Worker


def make_exception() -> Any:
    class StreamError(Exception):
        def describe(self) -> str:
            return f"about {self.args[0]}"

    return StreamError


def make_decorated() -> Any:
    def retried(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return ["retried", function(*args, **kwargs)]

        return wrapper

    class Worker:
        @retried
        def process(self, stream_id: str) -> str:
            """Process a stream."""
            return stream_id

        process_quickly = lambda self, stream_id: stream_id  # noqa: E731

    return Worker


def make_family() -> Any:
    class Base:
        @classmethod
        def create(cls) -> list[str]:
            return ["base", cls.__name__]

        def process(self, stream_id: str) -> list[str]:
            return ["base", stream_id]

        def __init_subclass__(cls, **options: Any) -> None:
            cls.options = options  # type: ignore[attr-defined]

    class Worker(Base, colour="red"):
        @classmethod
        def create(cls) -> list[str]:
            return ["worker", *super().create()]

        def process(self, stream_id: str) -> list[str]:
            return ["worker", *super().process(stream_id)]

    return Worker
