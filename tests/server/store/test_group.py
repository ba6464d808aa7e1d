"""Whom a commit of the SQLite store waits for: callers of the last one who are on their way."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from podium_server.store.sqlite import SqliteStore, group_commit
from podium_server.testing.calls import arm, declared, record, row

from tests.server.store.places import SqlitePlace, opened

_SOON = 0.01
"""The seconds that a commit seems to take."""


class _Clock:
    """A clock by which the thread works all the time, or never."""

    def __init__(self, *, busy: bool) -> None:
        self._busy = busy
        self.monotonic, self.perf_counter = time.monotonic, time.perf_counter

    def thread_time(self) -> float:
        """The time that the thread has worked."""
        return time.monotonic() if self._busy else 0.0


def _expecting_two(store: Any, monkeypatch: pytest.MonkeyPatch, *, busy: bool) -> list[str]:
    """Has the store wait for two callers, for as long as it takes; its commits from now on."""
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
    """While the thread has work, such as the answers of the last commit, more calls may come."""
    async with opened(SqlitePlace(tmp_path)) as store:
        await store.transact(record(declared(), arm()))
        commits = _expecting_two(store, monkeypatch, busy=True)
        first = asyncio.create_task(store.transact(record(row("val", 1))))
        await asyncio.sleep(20 * _SOON)
        assert not first.done()
        await store.transact(record(row("val", 2)))
        assert (await first).revision == 2
        assert len(commits) == 1


async def test_nobody_waits_for_a_caller_who_has_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait for more calls ends when the thread was idle for a commit's time."""
    async with opened(SqlitePlace(tmp_path)) as store:
        await store.transact(record(declared(), arm()))
        commits = _expecting_two(store, monkeypatch, busy=False)
        assert (await store.transact(record(row("val", 1)))).revision == 2
        assert len(commits) == 1
