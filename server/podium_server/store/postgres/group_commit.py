"""Group commit: calls on one experiment that wait at the same time share a transaction.

Transactions of different experiments run at the same time, each on its own connection. So the lock
of an experiment's row delays only the calls on this experiment.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import asyncpg
from podium.errors import PodiumError

from podium_server.errors import shutting_down
from podium_server.store.calls import Call
from podium_server.store.postgres.bridge import in_greenlet, in_thread
from podium_server.store.postgres.connection import PooledConnection
from podium_server.store.postgres.errors import (
    LOST,
    REPEATED,
    is_rejected,
    is_undone,
    outcome_unknown,
    undone,
)
from podium_server.store.postgres.known import KnownExperiments, KnownRows
from podium_server.store.postgres.writes import PostgresTransaction, StatementNeededError
from podium_server.store.sql.waiting import CallRunner, Waiting, notifying

__all__ = ["GroupCommit"]

T = TypeVar("T")
_log = logging.getLogger(__name__)
Acquire = Callable[[], AbstractAsyncContextManager[PooledConnection]]

_GROUP_CALLS = 256
"""The most calls in a transaction."""
_TRIES = 6
_PAUSE_SECONDS = 0.02
_COMMIT_SECONDS = 30.0
_NEVER = 1e9
"""The timeout in seconds of a statement that asyncpg must not cancel."""
_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"


class _DefectError(Exception):
    """A call failed because of a defect. `error` is the exception that the call raised."""

    def __init__(self, waiting: Waiting, error: Exception) -> None:
        super().__init__(str(error))
        self.waiting = waiting
        self.error = error


@dataclass(slots=True)
class _Lane:
    """The waiting calls on one experiment, and the task that runs them."""

    waiting: deque[Waiting] = field(default_factory=deque)
    task: asyncio.Task[None] | None = None


class GroupCommit(CallRunner):
    """Runs calls in transactions, on the connections that `acquire` returns."""

    def __init__(self, acquire: Acquire) -> None:
        super().__init__()
        self._acquire = acquire
        self._lanes: dict[str, _Lane] = {}
        self._known = KnownExperiments()
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="podium-writes")
        self._unknown_outcomes = 0

    def gauges(self) -> Mapping[str, float]:
        """Returns the numbers of commits with an unknown outcome, and of waiting calls."""
        return {
            "unknown_outcomes_total": self._unknown_outcomes,
            "waiting_writes": sum(len(lane.waiting) for lane in self._lanes.values()),
        }

    async def submit(self, call: Call[T]) -> T:
        """Runs a call, and returns its result when it is durable."""
        if self._closing:
            raise shutting_down()
        waiting = Waiting(call, asyncio.get_running_loop().create_future())
        experiment = call.needs.experiment
        lane = self._lanes.setdefault(experiment, _Lane())
        lane.waiting.append(waiting)
        if lane.task is None:
            lane.task = asyncio.create_task(self._run(experiment, lane))
        try:
            result: T = await waiting.answer
        finally:
            del waiting  # a reference cycle of this frame and its error would keep the request
        return result

    async def close(self) -> None:
        """Finishes the waiting calls, and rejects new ones."""
        self._closing = True
        while tasks := [lane.task for lane in self._lanes.values() if lane.task]:
            await asyncio.wait(tasks)
        self._threads.shutdown()

    async def _run(self, experiment: str, lane: _Lane) -> None:
        """Runs the calls on an experiment until none waits."""
        try:
            while lane.waiting:
                await self._group(lane.waiting)
        finally:
            del self._lanes[experiment]

    async def _group(self, queue: deque[Waiting]) -> None:
        """Runs the next waiting calls in one transaction, and gives each call its result."""
        group: list[Waiting] = []
        while queue and len(group) < _GROUP_CALLS:
            waiting = queue.popleft()
            if not waiting.answer.done():
                self.times.begin(waiting)
                group.append(waiting)
        if not group:
            return
        try:
            await self._try(group)
        except _DefectError as defect:
            defect.waiting.error = defect.error
            group.remove(defect.waiting)
            queue.extendleft(waiting.again() for waiting in reversed(group))
            group = [defect.waiting]
        except Exception as error:  # noqa: BLE001 - callers must not wait for ever
            for waiting in group:
                waiting.error = error if isinstance(error, PodiumError) else undone(error)
        for waiting in group:
            waiting.give()

    async def _try(self, group: list[Waiting]) -> None:
        """Runs a transaction. Repeats it if other transactions or a lost connection undid it.

        A transaction whose COMMIT was sent never runs again.
        """
        for attempt in range(_TRIES):
            try:
                await self._transact(group)
            except PodiumError:
                # Some PodiumErrors are also in LOST. After OUTCOME_UNKNOWN, nothing may run again.
                raise
            except (*REPEATED, *LOST):
                if attempt == _TRIES - 1:
                    raise
            else:
                return
            for waiting in group:
                waiting.again()
            await asyncio.sleep(_PAUSE_SECONDS * 2**attempt * random.uniform(0.5, 1))  # noqa: S311 - no secret

    async def _transact(self, group: list[Waiting]) -> None:
        begin = time.perf_counter()
        experiment = group[0].call.needs.experiment
        known = self._known.take(experiment)
        if known is not None and not (known.is_contended or _is_heavy(group)):
            if await self._transact_at_once(known, group, begin):
                return
            for waiting in group:
                waiting.again()
        await self._transact_locked(known or KnownRows(0), group, begin)

    async def _transact_at_once(self, known: KnownRows, group: list[Waiting], begin: float) -> bool:
        """Runs calls with the known rows and one statement. Returns whether this succeeded.

        The transaction fails without any change if the known rows are not enough or out of date. It
        also fails if no call changes anything, because then no statement checks the known rows.
        """
        known.begin()
        transaction = PostgresTransaction(None, known)
        try:
            _apply_all(transaction, group)
        except StatementNeededError:
            transaction.last = None
        if transaction.last is None:
            known.undo()
            return False
        async with self._acquire() as connection:
            with notifying(self.listeners, transaction.subjects):
                statement, bindings = transaction.last
                with self._commits_on(connection, is_rejected):
                    rows = await _uncancelled(
                        connection.fetch(statement, *bindings, timeout=_NEVER)
                    )
        if not rows:
            known.undo()
            return False
        known.keep()
        self._note(transaction, group, begin)
        return True

    async def _transact_locked(self, known: KnownRows, group: list[Waiting], begin: float) -> None:
        """Runs calls in a transaction that locks the experiment first."""
        async with self._acquire() as connection:
            await connection.execute(_BEGIN)
            try:
                transaction = await self._apply(connection, known, group)
                await _write_last(connection, transaction)
            except BaseException:
                await _roll_back(connection)
                raise
            with notifying(self.listeners, transaction.subjects):
                if transaction.last is None:
                    await connection.execute("ROLLBACK")
                    return
                with self._commits_on(connection, is_undone):
                    await _uncancelled(connection.execute("COMMIT", timeout=_NEVER))
        self._note(transaction, group, begin)

    async def _apply(
        self, connection: PooledConnection, known: KnownRows, group: list[Waiting]
    ) -> PostgresTransaction:
        """Applies calls, in a thread if one of them is heavy."""
        transaction = PostgresTransaction(connection, known)
        if _is_heavy(group):
            await in_thread(self._threads, _apply_all, transaction, group)
        else:
            await in_greenlet(_apply_all, transaction, group)
        return transaction

    def _note(self, transaction: PostgresTransaction, group: list[Waiting], begin: float) -> None:
        """Counts a commit, and keeps the rows that are known after it."""
        self.times.committed(len(group), begin)
        self._known.put(group[0].call.needs.experiment, transaction.known)

    @contextlib.contextmanager
    def _commits_on(
        self, connection: PooledConnection, is_certain: Callable[[BaseException], bool]
    ) -> Iterator[None]:
        """Raises OUTCOME_UNKNOWN if it is not certain that the commit in the block is durable.

        `is_certain` tells whether an error shows that nothing was committed.
        """
        try:
            with connection.warnings() as warned:
                yield
        except Exception as error:
            if is_certain(error):
                raise
            connection.terminate()
            self._unknown_outcomes += 1
            raise outcome_unknown() from error
        if warned:
            # For example, the wait for the replica was cancelled.
            _log.warning("it is unknown whether a commit is durable: %s", "; ".join(warned))
            self._unknown_outcomes += 1
            raise outcome_unknown()


async def _uncancelled(commit: Coroutine[Any, Any, T]) -> T:
    """Waits for a commit, and raises a TimeoutError if it takes too long.

    The database is not asked to cancel the commit. A cancelled commit no longer waits for a
    replica, so readers would see changes that a new leader may lack.
    """
    running = asyncio.create_task(commit)
    await asyncio.wait([running], timeout=_COMMIT_SECONDS)
    if not running.done():
        # The commit fails when its connection is closed. Nobody else reads that error.
        running.add_done_callback(asyncio.Task.exception)
        raise TimeoutError
    return running.result()


def _is_heavy(group: list[Waiting]) -> bool:
    return any(waiting.call.heavy for waiting in group)


async def _write_last(connection: PooledConnection, transaction: PostgresTransaction) -> None:
    """Writes the rows that are still collected. The experiment is locked, so it has not changed."""
    if transaction.last is not None:
        statement, bindings = transaction.last
        if not await connection.fetch(statement, *bindings):
            raise asyncpg.SerializationError


def _apply_all(transaction: PostgresTransaction, group: list[Waiting]) -> None:
    transaction.prepare([waiting.call.needs for waiting in group])
    for waiting in group:
        try:
            waiting.result = waiting.call.result(transaction.apply(waiting.call))
        except PodiumError as error:
            waiting.error = error.with_traceback(None)
        except (StatementNeededError, asyncpg.PostgresError, TimeoutError, *LOST):
            raise
        except Exception as error:
            raise _DefectError(waiting, error) from error
    transaction.finish()


async def _roll_back(connection: PooledConnection) -> None:
    """Rolls back. If that fails, the pool closes the connection, which rolls back too."""
    with contextlib.suppress(Exception):
        await connection.execute("ROLLBACK")
