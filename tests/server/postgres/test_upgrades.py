"""Tests of servers of two versions on one database while its tables are migrated."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from podium_server.store.contract import PageLimits, Store, StoreError
from podium_server.store.filters import ArmFilter, EvalFilter
from podium_server.store.open import migrate_store, open_store
from podium_server.store.postgres import schema
from podium_server.testing.calls import arm, declared, record, row

from tests.server.postgres.newer_server import EXPANSION
from tests.stores import store_url

_CONTRACTED = (
    "DROP INDEX IF EXISTS evals_later",
    "ALTER TABLE evals DROP COLUMN IF EXISTS later",
    "ALTER TABLE arms DROP COLUMN IF EXISTS later",
    "ALTER TABLE experiments DROP COLUMN IF EXISTS later",
    "DROP TABLE IF EXISTS later",
)
_UNLIMITED = """DO $$ BEGIN
    ASSERT (SELECT setting FROM pg_settings WHERE name = 'statement_timeout') = '0';
END $$"""
"""Fails if a timeout applies to the migration."""
_LIMITS = PageLimits(100, 2**20)


_names = map("x{}".format, itertools.count())


class _Load:
    """A task that reads and writes an experiment of its own until an error or its cancellation."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rounds = 0
        self.task = asyncio.create_task(self._run(next(_names)))

    async def _run(self, name: str) -> None:
        """Makes calls of each kind in turn, and checks that reads see what was written."""
        store = self._store
        await store.transact(record(declared(), arm(), experiment=name))
        for number in itertools.count(1):
            metrics = {"acc": float(number)}
            await store.transact(record(row("val", number, metrics=metrics), experiment=name))
            score = await store.score(name, "a", [("val", "acc")])
            assert score is not None
            assert score.entry.value == number
            assert (await store.experiment(name)).revision == number + 1
            assert len((await store.arms(name, -1, _LIMITS, ArmFilter())).items) == 1
            assert (await store.evals(name, "a", -1, _LIMITS, EvalFilter())).items
            self._rounds = number

    async def go_on(self) -> None:
        """Waits until new calls of each kind have ended. Raises the error if one fails."""
        wanted = self._rounds + 2
        while self._rounds < wanted and not self.task.done():  # noqa: ASYNC110 - no event is simpler
            await asyncio.sleep(0.01)
        if self.task.done():
            await self.task


@asynccontextmanager
async def _loads(*stores: Store) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    """Puts load on stores inside the block. Yields a function that waits for further calls."""
    loads = [_Load(store) for store in stores]

    async def go_on() -> None:
        await asyncio.gather(*(load.go_on() for load in loads))

    try:
        yield go_on
    finally:
        for load in loads:
            load.task.cancel()
        await asyncio.gather(*(load.task for load in loads), return_exceptions=True)


def _release(
    monkeypatch: pytest.MonkeyPatch, statements: tuple[str, ...], oldest_server: int
) -> None:
    """Simulates a new release: servers that start from now on have one more migration."""
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, statements))
    monkeypatch.setattr(schema, "VERSION", len(schema.MIGRATIONS))
    monkeypatch.setattr(schema, "_OLDEST_SERVER", oldest_server)


async def test_a_rolling_upgrade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No call fails while a newer server adds to the tables, nor while both versions serve.

    After the older server has stopped, no call fails while the additions are removed again. The
    older version can then no longer start.
    """
    url, version = store_url(tmp_path), schema.VERSION
    older = await open_store(url)
    try:
        async with _loads(older) as go_on:
            await go_on()
            _release(monkeypatch, EXPANSION, version)
            newer = await open_store(url)
            await go_on()
        async with _loads(older, newer, older, newer) as go_on:
            await go_on()
    finally:
        await older.close()
    try:
        async with _loads(newer) as go_on:
            await go_on()
            _release(monkeypatch, _CONTRACTED, version + 2)
            newest = await open_store(url)
            await go_on()
            await newest.close()
    finally:
        await newer.close()
    monkeypatch.undo()
    with pytest.raises(StoreError, match="start a newer podium"):
        await open_store(url)


async def test_a_long_migration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration runs without a statement timeout. Afterwards the server's timeout applies."""
    url = store_url(tmp_path)
    await (await open_store(url)).close()
    limits = f"{url}&statement_timeout=100000&application_name=long_{tmp_path.name}"
    _release(monkeypatch, (_UNLIMITED,), 1)
    store: Any = await open_store(limits)
    async with store._connection() as used:
        assert await used.fetchval("SHOW statement_timeout") == "100s"
        assert await used.fetchval("SELECT version FROM store") == schema.VERSION
    await store.close()


async def test_a_migration_names_the_database_with_another_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the source of a copy has another schema version, the error names the source."""
    url = store_url(tmp_path)
    await (await open_store(url)).close()
    _release(monkeypatch, EXPANSION, 1)
    with pytest.raises(StoreError, match=r"^postgresql://.* has schema version \d+, .* only"):
        await asyncio.to_thread(migrate_store, url, f"sqlite:///{tmp_path}/new.db", print)
