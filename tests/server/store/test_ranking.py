"""Tests of rankings of the SQLite store: what their pages cost, and reads that take long."""

import asyncio
import math
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Self

import apsw
import podium
import pytest
from podium.ranking import Member
from podium.v1.eval_result_pb2 import EvalResult
from podium_server.store.contract import PageLimits, Store
from podium_server.store.ranking_queries import RankPlace, RankQuery, RankTally
from podium_server.store.sqlite import SqliteStore
from podium_server.testing.calls import arm, declared, record

from tests.server.store.places import SqlitePlace, opened
from tests.sparse import sparse

_CANDIDATES = (("e", "k"), (None, "e.k"))
_VALUES = (0.0, -0.0, 0.5, 0.5, 0.5, 1.0, -1.5, math.nan, math.nan, math.inf, None, None)
_COMPLETED, _FAILED = 3, 4


def _scored(name: str, value: float | None, status: int = _COMPLETED) -> Any:
    rows = () if value is None else (EvalResult(name="e", metrics={"k": value}),)
    return arm(name, *rows, status=status)


def _query(direction: str, statuses: set[int], after: RankPlace | None) -> RankQuery:
    return RankQuery(_CANDIDATES, direction, frozenset(statuses), after)


class _Steps:
    """Counts the steps of SQLite's virtual machine for one connection."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._count = 0

    def __enter__(self) -> Self:
        self._connection.set_progress_handler(self._step, 1)
        return self

    def __exit__(self, *_error: object) -> None:
        self._connection.set_progress_handler(None)

    def _step(self) -> bool:
        self._count += 1
        return False

    @property
    def count(self) -> int:
        """The number of steps so far."""
        return self._count


@pytest.mark.slow
@pytest.mark.parametrize("direction", sparse(["maximize", "minimize"]))
@pytest.mark.parametrize(
    "value", sparse([lambda n: float(n % 3), float, lambda _n: 1.0]), ids=["few", "distinct", "one"]
)
async def test_the_first_places_cost_the_same_among_many_arms(
    tmp_path: Any, direction: str, value: Callable[[int], float]
) -> None:
    """Reading the top 10 of 1,500 arms takes at most 5 % more steps than the top 10 of 30."""
    async with opened(SqlitePlace(tmp_path)) as opened_store:
        store: Any = opened_store
        steps = []
        for count in (30, 1_500):
            for first in range(0, count, 500):
                events = [
                    _scored(f"arm{n}", value(n)) for n in range(first, min(count, first + 500))
                ]
                await store.transact(record(declared(), *events))
            with _Steps(store._reading) as seen:
                page = await store.rank(
                    "x", _query(direction, {_COMPLETED}, None), PageLimits(10, 2**21)
                )
            assert len(page.rows) == 10
            steps.append(seen.count)
    assert steps[1] <= 1.05 * steps[0]


async def _with_many_arms(store: Store) -> None:
    for first in range(0, 2_000, 500):
        events = [_scored(f"arm{n}", n, _FAILED) for n in range(first, first + 500)]
        await store.transact(record(declared(), *events))


async def test_slow_reads_do_not_delay_other_reads(tmp_path: Any) -> None:
    """While slow reads of 2,000 arms run in a thread, the event loop answers other reads."""
    may_go_on = threading.Event()

    def fold(members: Iterable[Member], _tally: RankTally) -> int:
        assert may_go_on.wait(120)
        return len(list(members))

    async with opened(SqlitePlace(tmp_path)) as store:
        await _with_many_arms(store)
        query = _query("maximize", {_FAILED}, None)
        slow: list[asyncio.Task[Any]] = [
            asyncio.create_task(store.members("x", query, fold)),
            asyncio.create_task(store.rank("x", query, PageLimits(10, 2**21))),
        ]
        for _ in range(10):
            await asyncio.sleep(0.001)
            assert await store.score("x", "arm0", _CANDIDATES) is not None
        assert not any(task.done() for task in slow)
        may_go_on.set()
        assert await slow[0] == 2_000
        assert [row.name for row in (await slow[1]).rows][:2] == ["arm1999", "arm1998"]


@pytest.mark.slow
async def test_closing_ends_slow_reads(tmp_path: Any) -> None:
    """When a store closes, a slow read that runs and one that waits end with SHUTTING_DOWN."""
    store = SqliteStore(tmp_path / "podium.db")
    await store.open()
    await _with_many_arms(store)
    is_read = threading.Event()

    def fold(members: Iterable[Member], _tally: RankTally) -> int:
        """Reads one arm, and waits until the store interrupts the connection. Then reads on."""
        first = next(iter(members))
        is_read.set()
        connection: Any = store._slow_reads._connection
        while not connection.is_interrupted:
            time.sleep(0.001)
        return len([first, *members])

    query = _query("maximize", {_FAILED}, None)
    slow = [
        asyncio.create_task(store.members("x", query, fold)),
        asyncio.create_task(store.rank("x", query, PageLimits(10, 2**21))),
    ]
    assert await asyncio.to_thread(is_read.wait, 60)
    await store.close()
    for ended in await asyncio.gather(*slow, return_exceptions=True):
        assert isinstance(ended, podium.UnavailableError)
        assert ended.reason == "SHUTTING_DOWN"
