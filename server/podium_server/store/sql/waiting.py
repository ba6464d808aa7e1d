"""Calls that wait for a transaction, and the listeners of its commit."""

import asyncio
import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from podium_server.histogram import COUNTS, SECONDS, Histogram
from podium_server.store.calls import Call, Subject
from podium_server.store.contract import ChangeListener
from podium_server.store.stages import StageTimer, stage_timer

__all__ = ["CallRunner", "Waiting", "WriteTimes", "notifying"]

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Waiting:
    """A call with its result or error, and the future for which its caller waits."""

    call: Call[Any]
    answer: asyncio.Future[Any]
    result: Any = None
    error: Exception | None = None
    timer: StageTimer | None = field(default_factory=stage_timer)
    submitted: float = field(default_factory=time.perf_counter)

    def again(self) -> "Waiting":
        """Forgets the result and the error, because the call runs again."""
        self.result = self.error = None
        return self

    def give(self) -> None:
        """Passes the result or the error to the caller, unless the caller was cancelled."""
        if self.timer is not None:
            self.timer.end("commit")
        if self.answer.done():
            return
        if self.error is not None:
            self.answer.set_exception(self.error)
        else:
            self.answer.set_result(self.result)


class WriteTimes:
    """Measures the writes of a store.

    Attributes:
        histograms: The histograms by name. `queue_seconds` has the times for which calls wait.
            `commit_seconds` has the times from the start of a transaction until it is durable.
            `commit_calls` has the numbers of calls in the transactions.
    """

    def __init__(self) -> None:
        self._queue, self._commit = Histogram(SECONDS), Histogram(SECONDS)
        self._calls = Histogram(COUNTS)
        self.histograms: Mapping[str, Histogram] = {
            "queue_seconds": self._queue,
            "commit_seconds": self._commit,
            "commit_calls": self._calls,
        }

    def begin(self, waiting: Waiting) -> None:
        """Measures how long a call has waited, because its transaction begins now."""
        self._queue.add(time.perf_counter() - waiting.submitted)
        if waiting.timer is not None:
            waiting.timer.end("queue")

    def committed(self, calls: int, begin: float) -> None:
        """Adds a transaction that is now durable to the histograms.

        `calls` is the number of its calls. `begin` is the time of its start (`perf_counter`).
        """
        self._commit.add(time.perf_counter() - begin)
        self._calls.add(calls)


class CallRunner(ABC):
    """Runs calls, several in one transaction.

    Attributes:
        listeners: The listeners of every commit.
        times: The times and sizes of commits.
    """

    def __init__(self) -> None:
        self.listeners: list[ChangeListener] = []
        self.times = WriteTimes()
        self._closing = False

    @abstractmethod
    async def submit(self, call: Call[T]) -> T:
        """Runs a call, and returns its result when it is durable."""


@contextlib.contextmanager
def notifying(
    listeners: Collection[ChangeListener], subjects: Collection[Subject]
) -> Iterator[None]:
    """Calls the listeners before and after the commit inside the block."""
    for listener in listeners:
        listener.changing(subjects)
    try:
        yield
    finally:
        for listener in listeners:
            listener.changed(subjects)
