"""Reads single eval rows and scores, with at most one round trip for each read.

These reads are the most frequent calls. Reads of one experiment that arrive while others run share
the next statement. So the database and the event loop handle many reads at once.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import asyncpg
from podium.errors import PodiumError

from podium_server.store.postgres.connection import without_nul
from podium_server.store.postgres.errors import LOST, undone
from podium_server.store.postgres.names import experiment_id

__all__ = ["EVALS", "SCORES", "PointReads"]

EVALS = (
    "SELECT u.read, coalesce(s.content, l.content), coalesce(s.stamp, l.stamp) "
    "FROM experiments x CROSS JOIN unnest($3::bigint[], $4::text[], $5::text[], $6::bigint[]) "
    "AS u(read, arm, name, step) JOIN arms a ON a.experiment = $1 AND a.name = u.arm "
    "LEFT JOIN evals s ON s.experiment = $1 AND s.arm = a.ordinal AND s.name = u.name "
    "AND s.post = 0 AND s.step = u.step "
    "LEFT JOIN LATERAL (SELECT e.content, e.stamp FROM evals e WHERE e.experiment = $1 "
    "AND e.arm = a.ordinal AND e.name = u.name AND u.step IS NULL "
    "ORDER BY e.post DESC, e.step DESC LIMIT 1) l ON TRUE WHERE x.id = $1 AND x.name = $2"
)
"""Selects eval rows by arm, eval name and step. Without a step, selects what `eval(name)` finds."""
SCORES = (
    "SELECT u.read, s.value, s.origin, s.step, a.primary_name "
    "FROM experiments x CROSS JOIN unnest($3::bigint[], $4::text[], $5::text[], $6::text[]) "
    "AS u(read, arm, name, key) JOIN arms a ON a.experiment = $1 AND a.name = u.arm "
    "LEFT JOIN scores s ON s.experiment = $1 AND s.arm = a.ordinal AND s.eval_name = u.name "
    "AND s.key = u.key WHERE x.id = $1 AND x.name = $2"
)
"""Selects scores by arm, eval name and key."""

_AT_ONCE = 2
"""The most statements at a time. More connections would not make reads faster."""
_MOST_READS = 32
_TRIES = 2
_Values = tuple[str | int | None, ...]
_Rows = dict[int, tuple[Any, ...]]


class PointReads:
    """Runs a statement for many reads. `acquire` gives a connection.

    The statement takes the experiment's id and name, and a list for each column of the reads. The
    first column has the numbers of the reads. The statement returns this number with each row.
    """

    def __init__(
        self,
        acquire: Callable[[], AbstractAsyncContextManager[asyncpg.Connection]],
        statement: str,
    ) -> None:
        self._acquire = acquire
        self._statement = statement
        self._waiting: dict[str, list[tuple[Sequence[_Values], asyncio.Future[list[Any]]]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def read(self, experiment: str, wanted: Sequence[_Values]) -> list[Any]:
        """Returns the statement's row for each read, or None where the arm does not exist."""
        answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(experiment, []).append((wanted, answer))
        if len(self._tasks) < _AT_ONCE:
            task = asyncio.create_task(self._run())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await answer

    async def close(self) -> None:
        """Waits for the reads that run."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _run(self) -> None:
        while self._waiting:
            experiment, waiting = next(iter(self._waiting.items()))
            some, rest = waiting[:_MOST_READS], waiting[_MOST_READS:]
            del self._waiting[experiment]
            if rest:
                self._waiting[experiment] = rest
            try:
                await self._answer(experiment, some)
            except Exception as error:  # noqa: BLE001 - callers must not wait for ever
                failed = error if isinstance(error, PodiumError) else undone(error)
                for _, answer in some:
                    if not answer.done():
                        answer.set_exception(failed)

    async def _answer(
        self, experiment: str, some: list[tuple[Sequence[_Values], asyncio.Future[list[Any]]]]
    ) -> None:
        values = [each for wanted, _ in some for each in wanted]
        columns = ([without_nul(value) for value in column] for column in zip(*values, strict=True))
        found = await self._fetch(experiment, [range(len(values)), *columns])
        at = 0
        for wanted, answer in some:
            if not answer.done():
                answer.set_result([found.get(number) for number in range(at, at + len(wanted))])
            at += len(wanted)

    async def _fetch(self, experiment: str, columns: list[Any]) -> dict[int, tuple[Any, ...]]:
        """Runs the statement. If the connection is lost, runs it once more."""
        place = (experiment_id(experiment), without_nul(experiment))
        for tries_left in reversed(range(_TRIES)):
            try:
                async with self._acquire() as connection:
                    rows = await connection.fetch(self._statement, *place, *columns)
            except LOST:
                if not tries_left:
                    raise
            else:
                return {row[0]: row for row in rows}
        raise AssertionError
