"""Tests of calls whose server knows the stored rows: each takes only one SQL statement.

Their results are right even if other servers write to the same experiment.
"""

import asyncio
import sys
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from podium.errors import PodiumError
from podium_server.store.contract import PageLimits, Store
from podium_server.store.filters import EvalFilter
from podium_server.store.open import open_store
from podium_server.store.postgres import known
from podium_server.store.postgres.connection import PooledConnection
from podium_server.store.postgres.known import KnownExperiments, KnownRows
from podium_server.store.rows import EvalKey, EvalRow
from podium_server.testing.calls import arm, declared, delete_arm, metrics, record, row

from tests.postgres import connected
from tests.server.postgres.proxy import Proxy, proxied_store
from tests.stores import store_url

_PAGE = PageLimits(1_000, 2**21)


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[tuple[Store, Store]]:
    """Yields two stores over a database with an arm and a row, which only the first store knows."""
    async with AsyncExitStack() as stack:
        stores = [await open_store(store_url(tmp_path)) for _ in range(2)]
        for store in stores:
            stack.push_async_callback(store.close)
        await stores[0].transact(record(declared(), arm()))
        await stores[0].transact(record(row("val", 1), metrics({"loss": 1.0}, step=1), writer="w"))
        yield stores[0], stores[1]


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Returns a list, to which each SQL statement is added that a store runs from now on."""
    seen: list[str] = []
    for name in ("execute", "fetch", "executemany", "cursor"):
        method = getattr(PooledConnection, name)

        def noting(self: Any, text: str, *rest: Any, _method: Any = method, **named: Any) -> Any:
            seen.append(text)
            return _method(self, text, *rest, **named)

        monkeypatch.setattr(PooledConnection, name, noting)
    return seen


async def _steps(store: Store) -> list[int]:
    page = await store.evals("x", "a", -1, _PAGE, EvalFilter())
    return [len(page.items), page.revision]


async def test_one_statement(two: tuple[Store, Store], statements: list[str]) -> None:
    """A call with a new row and metrics of a known arm takes one statement."""
    store, _ = two
    call = record(row("val", 2), metrics({"loss": 0.5}, step=2), writer="w", first=3)
    assert (await store.transact(call)).revision == 3
    assert len(statements) == 1
    assert await _steps(store) == [2, 3]


async def test_a_read_takes_one_statement(two: tuple[Store, Store], statements: list[str]) -> None:
    """A read of one row takes one statement.

    Reads of one experiment at the same time share one statement.
    """
    store, other = two
    assert await other.eval("x", "a", "val", None) is not None
    assert await other.eval("x", "a", "val", 2) is None
    assert len(statements) == 2
    found = await asyncio.gather(*(store.eval("x", "a", "val", step) for step in range(4)))
    assert [row is not None for row in found] == [False, True, False, False]
    assert len(statements) == 3


async def test_a_read_that_is_cancelled(two: tuple[Store, Store]) -> None:
    """If a read is cancelled, other reads that share its statement get their results.

    Later reads succeed, too.
    """
    store, _ = two
    reads = [asyncio.create_task(store.eval("x", "a", "val", 1)) for _ in range(3)]
    await asyncio.sleep(0)
    reads[1].cancel()
    found = await asyncio.gather(*reads, return_exceptions=True)
    assert isinstance(found[1], asyncio.CancelledError)
    assert isinstance(found[0], bytes)
    assert found[0] == found[2] == await store.eval("x", "a", "val", 1)


async def test_a_write_that_is_cancelled(two: tuple[Store, Store]) -> None:
    """If a write is cancelled, other writes at the same time are stored.

    The cancelled write can be sent again.
    """
    store, _ = two
    writes = [asyncio.create_task(store.transact(record(row("val", step)))) for step in (2, 3, 4)]
    await asyncio.sleep(0)
    writes[1].cancel()
    await asyncio.gather(*writes, return_exceptions=True)
    assert [await store.eval("x", "a", "val", step) is not None for step in (2, 4)] == [True, True]
    assert (await store.transact(record(row("val", 3)))).revision == 5


async def test_another_server_has_written(two: tuple[Store, Store]) -> None:
    """A server notices if its known rows are out of date, because another server has written.

    It applies the call to the rows that are stored now.
    """
    store, other = two
    assert (await other.transact(record(row("val", 5), writer="w", first=3))).revision == 3
    again = await store.transact(record(row("val", 5), writer="w", first=3))
    assert (again.skipped_events, again.revision) == (1, 3)
    assert (await store.transact(record(row("val", 6), writer="w", first=4))).revision == 4
    assert await _steps(other) == [3, 4]


async def test_a_call_is_rejected_by_what_is_stored(two: tuple[Store, Store]) -> None:
    """A server notices that another one has created or deleted the arm of a call."""
    store, other = two
    with pytest.raises(PodiumError, match="no arm 'b'"):
        await store.transact(record(row("val", 1, name="b")))
    await other.transact(record(arm("b")))
    await store.transact(record(row("val", 1, name="b")))
    await other.transact(delete_arm("b"))
    with pytest.raises(PodiumError, match="no arm 'b'"):
        await store.transact(record(row("val", 2, name="b")))


async def test_calls_of_two_servers_at_once(two: tuple[Store, Store]) -> None:
    """If two servers write at the same time, the rows of all calls are stored."""
    calls = [
        store.transact(record(row("val", 10 * number + at)))
        for number in range(1, 40)
        for at, store in enumerate(two)
    ]
    await asyncio.gather(*calls)
    [count, revision] = await _steps(two[0])
    assert count == 1 + 2 * 39
    assert 2 < revision <= 2 + 2 * 39


@pytest.mark.parametrize("arrives", [True, False])
async def test_the_answer_is_lost(tmp_path: Path, *, arrives: bool) -> None:
    """If the answer to a statement is lost, the call gets OUTCOME_UNKNOWN.

    When the writer sends the call again, the event is skipped if it was stored. Otherwise it is
    stored then.
    """
    async with proxied_store(tmp_path) as (store, proxy):
        await store.transact(record(declared(), arm()))
        for step in (1, 2):
            await store.transact(record(row("val", step), writer="writer", first=step))
        call: Callable[[], Any] = lambda: record(row("val", 3), writer="writer", first=3)  # noqa: E731 - a call each time
        _cut(proxy, arrives=arrives)
        with pytest.raises(PodiumError) as raised:
            await store.transact(call())
        assert (raised.value.reason, proxy.cuts) == ("OUTCOME_UNKNOWN", 1)
        again = await store.transact(call())
        assert (again.skipped_events, again.revision) == (int(arrives), 4)


def _cut(proxy: Proxy, *, arrives: bool) -> None:
    proxy.cut_at, proxy.answer, proxy.passes_it_on = b"writer", b"SELECT 1\0", arrives


async def test_a_lock_that_another_session_keeps(tmp_path: Path) -> None:
    """A call that waits too long for a lock is rejected.

    The error says that nothing was changed.
    """
    url = store_url(tmp_path)
    store = await open_store(f"{url}&lock_timeout=200")
    try:
        await store.transact(record(declared(), arm()))
        await store.transact(record(row("val", 1)))
        async with connected(url) as connection:
            transaction = connection.transaction()
            await transaction.start()
            await connection.execute("UPDATE experiments SET deleted = 0")
            with pytest.raises(PodiumError, match="nothing was changed"):
                await store.transact(record(row("val", 2)))
            await transaction.rollback()
        assert (await store.transact(record(row("val", 2)))).revision == 3
    finally:
        await store.close()


def test_the_oldest_known_rows_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """If known rows need too much memory, those of the oldest experiments are dropped."""
    monkeypatch.setattr(known, "_MOST_BYTES", 10_000)
    experiments = KnownExperiments()
    for number in range(100):
        rows = KnownRows(number)
        rows.put(rows.parts, ((1, 1), "metrics"), b"x" * 2_000)
        experiments.put(str(number), rows)
    kept = [number for number in range(100) if experiments.take(str(number)) is not None]
    assert kept == [97, 98, 99]


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("parts", b"x" * 9_000),
        ("answering", EvalRow(EvalKey("val", 1), 0, None, None, 1, b"x" * 9_000, b"")),
        ("score_keys", frozenset(f"{number:0100}" for number in range(90))),
        ("point_ids", {f"{number:0100}": number for number in range(90)}),
    ],
)
def test_the_size_of_known_rows(attribute: str, value: Any) -> None:
    """The size of known rows includes values that can be large.

    A value that is replaced or removed no longer counts.
    """
    rows = KnownRows(0)
    empty = rows.size
    rows.put(getattr(rows, attribute), "place", value)
    assert 9_000 < rows.size - empty < 30_000
    rows.put(getattr(rows, attribute), "place", value)
    assert 9_000 < rows.size - empty < 30_000
    rows.remove(getattr(rows, attribute), "place")
    assert rows.size == empty


def test_undo_restores_the_known_rows() -> None:
    """After `undo`, the known rows are as they were before the transaction."""
    rows = KnownRows(1)
    for name in ("kept", "replaced", "removed"):
        rows.put(rows.last_steps, (1, len(name)), 1)
    before = (rows.size, dict(rows.last_steps))
    for forgets in (False, True):
        rows.begin()
        rows.put(rows.last_steps, (1, len("replaced")), 2)
        rows.put(rows.last_steps, (1, len("replaced")), 3)
        rows.remove(rows.last_steps, (1, len("removed")))
        rows.put(rows.streams, "new", None)
        if forgets:
            rows.forget_arms()
            rows.put(rows.last_steps, (2, 2), 2)
        rows.write_id = 2
        rows.undo()
        assert (rows.write_id, rows.streams) == (1, {})
        assert (rows.size, rows.last_steps) == before


def test_the_cost_of_a_change_beside_many_rows() -> None:
    """A transaction does not copy the known rows of its experiment, which can be many."""
    rows = KnownRows(1)
    for number in range(20_000):
        rows.put(rows.arms, f"arm{number}", None)
    tracemalloc.start()
    try:
        rows.begin()
        rows.put(rows.arms, "arm1", None)
        rows.keep()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < sys.getsizeof(rows.arms) / 10
