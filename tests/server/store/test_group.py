"""Tests of the group commit of the SQLite store: which calls share a transaction."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from podium_server.store.contract import PageLimits
from podium_server.store.filters import EvalFilter
from podium_server.store.sqlite import SqliteStore, group_commit
from podium_server.testing.calls import BrokenAfter, arm, declared, record, row
from podium_server.testing.paging import step_of

from tests.server.store.places import SqlitePlace, opened

_SOON = 0.01
"""The seconds that the store believes a commit to take."""


class _Clock:
    """A clock that shows the thread as always busy, or as always idle."""

    def __init__(self, *, busy: bool) -> None:
        self._busy = busy
        self.monotonic, self.perf_counter = time.monotonic, time.perf_counter

    def thread_time(self) -> float:
        """Returns the seconds that the thread has worked."""
        return time.monotonic() if self._busy else 0.0


def _expecting_two(store: Any, monkeypatch: pytest.MonkeyPatch, *, busy: bool) -> list[str]:
    """Makes the store expect two callers, and wait for them for up to a minute.

    Returns a list, to which each later commit of the store adds an item.
    """
    assert isinstance(store, SqliteStore)
    monkeypatch.setattr(group_commit, "time", _Clock(busy=busy))
    monkeypatch.setattr(group_commit, "_GATHER_SECONDS", 60)
    store._group._expected, store._group._commit_seconds = 2, _SOON
    commits: list[str] = []
    store.trace(lambda text, _bindings: commits.append(text) if text == "COMMIT" else None)
    return commits


async def test_a_call_on_its_way_shares_the_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While its thread is busy, a commit waits for a second call. Both share one commit."""
    async with opened(SqlitePlace(tmp_path)) as store:
        await store.transact(record(declared(), arm()))
        commits = _expecting_two(store, monkeypatch, busy=True)
        first = asyncio.create_task(store.transact(record(row("val", 1))))
        await asyncio.sleep(20 * _SOON)
        assert not first.done()
        await store.transact(record(row("val", 2)))
        assert (await first).revision == 2
        assert len(commits) == 1


async def test_a_commit_stops_waiting_for_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit stops waiting for calls if its thread is idle for as long as a commit takes."""
    async with opened(SqlitePlace(tmp_path)) as store:
        await store.transact(record(declared(), arm()))
        commits = _expecting_two(store, monkeypatch, busy=False)
        assert (await store.transact(record(row("val", 1)))).revision == 2
        assert len(commits) == 1


async def test_a_transaction_has_at_most_256_calls(tmp_path: Path) -> None:
    """300 concurrent calls need two transactions, because one takes at most 256 calls."""
    async with opened(SqlitePlace(tmp_path)) as store:
        await store.transact(record(declared(), arm()))
        calls = [store.transact(record(row("val", step))) for step in range(300)]
        found = await asyncio.gather(*calls)
        assert [outcome.revision for outcome in found] == list(range(2, 302))
        lines = list(store.histograms["commit_calls"].lines("calls"))
        assert lines[-3:] == ['calls_bucket{le="+Inf"} 3', "calls_sum 301", "calls_count 3"]
        assert 'calls_bucket{le="256"} 3' in lines


async def test_calls_keep_their_order_around_a_defect(tmp_path: Path) -> None:
    """If one call of a transaction fails, the others are applied in the order of arrival."""
    async with opened(SqlitePlace(tmp_path)) as store:
        await store.transact(record(declared(), arm()))
        calls = [record(row("val", 1, metrics={"n": n})) for n in range(6)]
        calls.insert(4, record(row("val", 1, metrics={"n": -1}), kind=BrokenAfter))
        found = await asyncio.gather(*map(store.transact, calls), return_exceptions=True)
        assert isinstance(found.pop(4), ZeroDivisionError)
        assert [getattr(outcome, "revision", outcome) for outcome in found] == [2, 3, 4, 5, 6, 7]


async def test_a_cancelled_call_is_not_applied(tmp_path: Path) -> None:
    """A call that was cancelled while it waited for its turn is not applied."""
    async with opened(SqlitePlace(tmp_path)) as store:
        await store.transact(record(declared(), arm()))
        tasks = [asyncio.ensure_future(store.transact(record(row("val", n)))) for n in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        page = await store.evals("x", "a", -1, PageLimits(10, 2**20), EvalFilter())
        assert [step_of(content) for content in page.items] == [0, 2]
