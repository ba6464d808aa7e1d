"""Group commit: calls that come in while one transaction is made durable share the next.

Statements run on the event loop's thread, where they cost microseconds; only COMMIT, which
waits for the disk, runs in a thread of its own. Each call is decided before its first
write, so a refused one leaves nothing to undo and its neighbours alone.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import apsw
from podium.errors import PodiumError

from podium_server.failures import failure
from podium_server.store.base import Call
from podium_server.store.sqlite.writes import apply

__all__ = ["GroupCommit"]

T = TypeVar("T")
_log = logging.getLogger(__name__)

_GROUP_CALLS = 256
"""The calls that share a transaction at most, so that the first one does not wait for long."""
_TURN_SECONDS = 0.005
"""How long calls are applied before the event loop gets its turn."""


@dataclass(slots=True)
class _Waiting:
    call: Call[Any]
    answer: asyncio.Future[Any]


@dataclass(slots=True)
class _Applied:
    answer: asyncio.Future[Any]
    result: Any = None
    error: PodiumError | None = None

    def give(self) -> None:
        if self.answer.done():
            return
        if self.error is not None:
            self.answer.set_exception(self.error)
        else:
            self.answer.set_result(self.result)


class GroupCommit:
    """Runs calls on one connection, many to a transaction.

    `on_broken` is called once when the outcome of a transaction cannot be known: from then
    on every call is answered OUTCOME_UNKNOWN, and the process should end.
    """

    def __init__(self, connection: apsw.Connection, on_broken: Callable[[], None]) -> None:
        self._connection = connection
        self._on_broken = on_broken
        self._waiting: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._closing = False
        self._broken = False
        self._committer = ThreadPoolExecutor(1, thread_name_prefix="podium-commit")
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def submit(self, call: Call[T]) -> T:
        """Runs a call; returns when it is durable."""
        if self._broken:
            raise _outcome_unknown()
        if self._closing:
            raise failure("SHUTTING_DOWN", "the server is stopping; try again later")
        waiting = _Waiting(call, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._wake.set()
        result: T = await waiting.answer
        return result

    async def close(self) -> None:
        """Finishes the calls that wait; takes no new ones."""
        self._closing = True
        self._wake.set()
        await self._task
        self._committer.shutdown()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting and not self._broken:
                await self._group()
            if self._broken:
                self._give_up()
            if self._closing:
                return

    async def _group(self) -> None:
        """One transaction: applies calls, commits, and only then answers."""
        applied: list[_Applied] = []
        before = self._connection.total_changes()
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            await self._apply_waiting(applied)
        except apsw.Error as error:
            self._undo(applied, error)
        else:
            await self._commit(applied, changed=self._connection.total_changes() != before)
        for answer in applied:
            answer.give()

    async def _apply_waiting(self, applied: list[_Applied]) -> None:
        turn_ends = time.monotonic() + _TURN_SECONDS
        while self._waiting and len(applied) < _GROUP_CALLS:
            waiting = self._waiting.popleft()
            if waiting.answer.done():
                waiting.answer.cancel()
                continue
            outcome = _Applied(waiting.answer)
            applied.append(outcome)
            try:
                outcome.result = waiting.call.result(apply(self._connection, waiting.call))
            except PodiumError as error:
                outcome.error = error
            if time.monotonic() > turn_ends:
                await asyncio.sleep(0)
                turn_ends = time.monotonic() + _TURN_SECONDS

    async def _commit(self, applied: list[_Applied], *, changed: bool) -> None:
        try:
            if changed:
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(self._committer, self._connection.execute, "COMMIT")
            else:
                self._connection.execute("COMMIT")
        except apsw.FullError as error:
            self._undo(applied, error)
        except apsw.Error:
            _log.critical(
                "a commit failed; its outcome is unknown, so the server stops", exc_info=True
            )
            self._broken = True
            for answer in applied:
                answer.error = _outcome_unknown()
            self._on_broken()

    def _undo(self, applied: list[_Applied], error: apsw.Error) -> None:
        """Takes back a transaction that failed before it was durable."""
        if not self._connection.get_autocommit():
            self._connection.execute("ROLLBACK")
        reason = _undone(error)
        for answer in applied:
            answer.error = reason

    def _give_up(self) -> None:
        while self._waiting:
            _Applied(self._waiting.popleft().answer, error=_outcome_unknown()).give()


def _undone(error: apsw.Error) -> PodiumError:
    if isinstance(error, apsw.FullError):
        _log.error("the disk of the store is full")
        return failure(
            "STORAGE_FULL", "the disk of the store is full; nothing was changed; try again later"
        )
    _log.exception("a transaction failed and was taken back", exc_info=error)
    return failure("INTERNAL", "the store failed; nothing was changed")


def _outcome_unknown() -> PodiumError:
    return failure(
        "OUTCOME_UNKNOWN",
        "the store failed while it wrote; whether the call was stored is unknown, so send it "
        "again when the server is back",
    )
