"""Group commit: calls that arrive while one transaction is committed share the next transaction.

Statements take microseconds, and run on the event loop's thread. COMMIT waits for the disk, so it
runs in a separate thread, the commit thread. Calls that may change very many rows run in the commit
thread too. Each call is decided before its first write. So a rejected call has nothing to undo, and
does not affect the other calls.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import apsw
from podium.errors import PodiumError

from podium_server.errors import failure, internal_error, overloaded, shutting_down
from podium_server.store.calls import Call, Changes
from podium_server.store.sql.waiting import CallRunner, Waiting, notifying
from podium_server.store.sql.writes import Transaction
from podium_server.store.sqlite.store_file import FileDamagedError, StoreFile

__all__ = ["DAMAGE", "GroupCommit", "undone"]

T = TypeVar("T")
_log = logging.getLogger(__name__)

_GROUP_CALLS = 256
"""The most calls in a transaction. This limits how long the first call waits."""
_TURN_SECONDS = 0.005
"""The seconds in which calls are applied before other tasks of the event loop may run."""
_GATHER_SECONDS = 0.01
"""The most seconds to wait for further calls, from the callers that shared the last commit."""
_BUSY_SECONDS = 3.0
"""The most seconds to wait for another process that locks the file, such as a SQLite shell."""
_BUSY_PAUSE_SECONDS = 0.01
_CHECK_SECONDS = 1.0
"""The seconds between two checks of the file while there are no writes."""
DAMAGE = (apsw.CorruptError, apsw.NotADBError, FileDamagedError)
"""The errors that mean that the file is damaged."""
_NOTHING = "nothing was changed; try again later"


class GroupCommit(CallRunner):
    """Runs calls on one connection. Calls that wait at the same time share a transaction.

    `on_broken` is called once if the store can no longer acknowledge calls: the file is damaged, or
    the outcome of a transaction is unknown. From then on every call gets OUTCOME_UNKNOWN, and the
    process should end.
    """

    def __init__(
        self, connection: apsw.Connection, file: StoreFile, on_broken: Callable[[], None]
    ) -> None:
        super().__init__()
        self._connection = connection
        self._file = file
        self._on_broken = on_broken
        self._waiting: deque[Waiting] = deque()
        self._applied: list[Waiting] = []
        self._wake = asyncio.Event()
        self._arrived = asyncio.Event()
        self._expected = 0
        self._commit_seconds = self._begun = 0.0
        self.broken = False
        self._committer = ThreadPoolExecutor(1, thread_name_prefix="podium-commit")
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._run())
        self._watch_task = loop.create_task(self._watch())

    def gauges(self) -> Mapping[str, float]:
        """Returns the number of waiting calls."""
        return {"waiting_writes": len(self._waiting)}

    async def submit(self, call: Call[T]) -> T:
        """Runs a call, and returns its result when it is durable."""
        if self.broken:
            raise _outcome_unknown()
        if self._closing:
            raise shutting_down()
        waiting = Waiting(call, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._wake.set()
        if len(self._waiting) >= self._expected:
            self._arrived.set()
        try:
            result: T = await waiting.answer
        finally:
            del waiting  # a reference cycle of this frame and its error would keep the request
        return result

    async def close(self) -> None:
        """Finishes the waiting calls, and rejects new ones."""
        self._closing = True
        self._wake.set()
        self._watch_task.cancel()
        await self._task
        self._committer.shutdown()

    async def _run(self) -> None:
        try:
            await self._serve()
        except Exception as defect:  # noqa: BLE001 - callers must not wait for ever
            self.stop(defect)
            self._give_up()

    async def _watch(self) -> None:
        """Stops the store when a regular check finds that another program has changed its file."""
        while not self.broken:
            await asyncio.sleep(_CHECK_SECONDS)
            try:
                await self._beside(self._file.check)
            except FileDamagedError as error:
                self.stop(error)

    def stop(self, why: Exception) -> None:
        """Stops the store, because the file is damaged or its content is unknown."""
        if self.broken:
            return
        self.broken = True
        known = isinstance(why, FileDamagedError)
        _log.critical(
            "%s%s; the server acknowledges no more writes and stops",
            "" if known else "the store failed: ",
            why,
            exc_info=None if known else why,
        )
        self._wake.set()
        self._on_broken()

    async def _serve(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting and not self.broken:
                await self._gather()
                await self._group()
            if self.broken:
                self._give_up()
            if self._closing:
                return

    async def _gather(self) -> None:
        """Waits briefly, so that callers who shared the last commit can join the next one.

        A caller in a loop sends its next call at once. One shared commit takes less time than one
        for each caller. The wait ends when this thread was idle for as long as a commit takes,
        because then no more calls are being received. After a commit of a single call, there is no
        wait.
        """
        ends = time.monotonic() + _GATHER_SECONDS
        idle = 0.0
        while 0 < len(self._waiting) < self._expected and time.monotonic() < ends:
            seen = len(self._waiting)
            idle += await self._arrival()
            if len(self._waiting) > seen:
                idle = 0.0
            elif idle >= self._commit_seconds:
                return

    async def _arrival(self) -> float:
        """Waits for enough calls, at most as long as a commit takes.

        Returns the seconds in which this thread was idle meanwhile.
        """
        begin, busy = time.monotonic(), time.thread_time()
        self._arrived.clear()
        timer = asyncio.get_running_loop().call_later(self._commit_seconds, self._arrived.set)
        await self._arrived.wait()
        timer.cancel()
        return time.monotonic() - begin - (time.thread_time() - busy)

    async def _group(self) -> None:
        """Runs the next waiting calls in one transaction, and gives each call its result."""
        applied = self._applied = []
        before = self._connection.total_changes()
        self._begun = time.perf_counter()
        try:
            await self._begin()
            transaction = Transaction(self._connection)
            await self._apply_waiting(transaction, applied)
            transaction.finish()
        except DAMAGE as error:
            self.stop(error)
            self._undo(self._take_waiting(applied), _outcome_unknown())
        except apsw.Error as error:
            self._undo(applied or self._take_waiting(applied), undone(error))
        except Exception as defect:  # noqa: BLE001 - one call's defect must not end the others
            self._retry_without(applied, defect)
        else:
            changed = self._connection.total_changes() != before
            with notifying(self.listeners, transaction.subjects):
                await self._commit(applied, changed=changed)
        self._expected = len(applied) + len(self._waiting)
        for waiting in applied:
            waiting.give()

    async def _begin(self) -> None:
        """Begins a transaction. Waits briefly while another process writes to the file."""
        ends = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
            except apsw.BusyError:
                if self._closing or time.monotonic() > ends:
                    raise
            else:
                return
            await asyncio.sleep(_BUSY_PAUSE_SECONDS)

    def _take_waiting(self, applied: list[Waiting]) -> list[Waiting]:
        """Moves all waiting calls to `applied`, and returns it, so that all fail together."""
        applied.extend(self._waiting)
        self._waiting.clear()
        return applied

    async def _apply_waiting(self, transaction: Transaction, applied: list[Waiting]) -> None:
        turn_ends = time.monotonic() + _TURN_SECONDS
        while self._waiting and len(applied) < _GROUP_CALLS:
            waiting = self._waiting.popleft()
            if waiting.answer.done():
                continue
            applied.append(waiting)
            self.times.begin(waiting)
            try:
                waiting.result = waiting.call.result(await self._apply(transaction, waiting.call))
            except PodiumError as error:
                waiting.error = error.with_traceback(None)
            if time.monotonic() > turn_ends:
                await asyncio.sleep(0)
                turn_ends = time.monotonic() + _TURN_SECONDS

    async def _apply(self, transaction: Transaction, call: Call[Any]) -> Changes:
        """Applies a call in this thread, or in the commit thread if the call is heavy."""
        if not call.heavy:
            return transaction.apply(call)
        return await self._beside(transaction.apply, call)

    async def _beside(self, function: Callable[..., T], *arguments: Any) -> T:
        """Runs a function in the commit thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._committer, function, *arguments)

    async def _commit(self, applied: list[Waiting], *, changed: bool) -> None:
        try:
            if changed:
                begin = time.monotonic()
                await self._beside(self._make_durable)
                self._commit_seconds = time.monotonic() - begin
                self.times.committed(len(applied), self._begun)
            else:
                self._connection.execute("COMMIT")
        except apsw.FullError as error:
            self._undo(applied, undone(error))
        except (apsw.Error, FileDamagedError) as error:
            self.stop(error)
            for waiting in applied:
                waiting.error = _outcome_unknown()

    def _make_durable(self) -> None:
        """Commits, after a check that no other program has replaced the file."""
        self._file.check()
        self._connection.execute("COMMIT")
        self._file.committed(self._connection)

    def _undo(self, applied: list[Waiting], error: Exception) -> None:
        """Rolls back a transaction that failed before it was durable. Its calls get the error."""
        if not self._connection.get_autocommit():
            self._connection.execute("ROLLBACK")
        for waiting in applied:
            waiting.error = error

    def _retry_without(self, applied: list[Waiting], defect: Exception) -> None:
        """Rolls back after a call failed because of a defect, and queues the other calls again."""
        if not applied:
            raise defect
        broken = applied.pop()
        self._undo([broken], defect)
        for waiting in reversed(applied):
            self._waiting.appendleft(waiting.again())
        applied[:] = [broken]

    def _give_up(self) -> None:
        for waiting in (*self._applied, *self._waiting):
            waiting.error = _outcome_unknown()
            waiting.give()
        self._waiting.clear()


def undone(error: apsw.Error) -> PodiumError:
    """Returns the error for a call if its transaction failed and was rolled back."""
    if isinstance(error, apsw.FullError):
        _log.error("the disk of the store is full")
        return failure("STORAGE_FULL", f"the disk of the store is full; {_NOTHING}")
    if isinstance(error, apsw.BusyError):
        _log.error("another process has locked the file of the store")
        return overloaded(f"another process has locked the file of the store; {_NOTHING}")
    return internal_error(_log, "the store failed; nothing was changed", error)


def _outcome_unknown() -> PodiumError:
    return failure(
        "OUTCOME_UNKNOWN",
        "the store failed while it wrote; it is unknown whether the "
        "call was stored, so send it again when the server runs again",
    )
