"""Tests of calls whose connection, transaction or database fails."""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from podium.errors import PodiumError
from podium_server.store.contract import PageLimits, Store, StoreError
from podium_server.store.filters import ArmFilter, ExperimentFilter
from podium_server.store.open import open_store
from podium_server.store.postgres import errors, group_commit, hosts, store
from podium_server.store.postgres.connection import PooledConnection
from podium_server.testing.calls import arm, declared, record, row

from tests.client.cli.shell import podium as podium_command
from tests.client.client.broken import tcp_server
from tests.postgres import connected
from tests.server.access.serving import serving
from tests.server.postgres.proxy import SOCKET, Proxy, proxied_store, query_of
from tests.stores import store_url


@pytest.fixture
async def proxied(tmp_path: Path) -> AsyncIterator[tuple[Store, Proxy]]:
    """Yields a store with an experiment, and the proxy that can cut its connections."""
    async with proxied_store(tmp_path) as (opened, proxy):
        await opened.transact(record(declared(), arm()))
        yield opened, proxy


@contextlib.asynccontextmanager
async def _two_hosts(folder: Path) -> AsyncIterator[str]:
    """Yields a URL with two hosts. The first one never answers, and the second one works."""
    query = query_of(folder)
    proxy = Proxy(f"{query['host']}/{SOCKET}")
    good = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    port = good.sockets[0].getsockname()[1]
    try:
        with tcp_server(b"") as silent:
            hosts = f"{silent},127.0.0.1:{port}"
            yield f"postgresql://podium@{hosts}/postgres?search_path={query['search_path']}"
    finally:
        good.close()


async def test_a_host_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If one host does not answer, the store uses the other host without waiting."""
    monkeypatch.setattr(store, "_CONNECT_SECONDS", 3_600.0)
    async with _two_hosts(tmp_path) as url:
        opened = await open_store(url)
        assert (await opened.transact(record(declared(), arm()))).revision == 1
        await opened.close()


async def test_a_leader_that_becomes_a_replica(tmp_path: Path) -> None:
    """If a connection accepts no more writes, the transaction runs again on another connection."""
    opened: Any = await open_store(store_url(tmp_path))
    try:
        await opened.transact(record(declared(), arm()))
        async with opened._connection() as connection:
            await connection.execute("SET default_transaction_read_only = on")
        assert (await opened.transact(record(row("val", 1)))).revision == 2
    finally:
        await opened.close()


async def test_no_host_takes_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While no host accepts writes, a store cannot be opened.

    Calls of an open store are rejected, and the error says that nothing was changed.
    """
    monkeypatch.setattr(store, "_CONNECT_SECONDS", 30.0)
    async with _two_hosts(tmp_path) as url:
        opened: Any = await open_store(url)
        try:
            await opened.transact(record(declared(), arm()))
            monkeypatch.setattr(hosts, "_of_each_host", _without_leader)
            async with opened._connection() as connection:
                connection.terminate()
            with pytest.raises(PodiumError, match="cannot be reached; nothing was changed"):
                await opened.experiment("x")
            with pytest.raises(PodiumError, match="cannot be reached; nothing was changed"):
                await opened.transact(record(row("val", 1)))
            with pytest.raises(StoreError, match="None of the hosts match"):
                await open_store(url)
        finally:
            await opened.close()


def _without_leader(url: str) -> list[str]:
    """Returns two equal URLs of the working host, with an option that makes it read-only."""
    user, _, others = url.partition("@")
    good = f"{user}@{others.partition(',')[2]}&default_transaction_read_only=on"
    return [good, good]


async def _reason(work: Any) -> str:
    with pytest.raises(PodiumError) as raised:
        await work
    return raised.value.reason


async def test_the_answer_to_a_commit_is_lost(proxied: tuple[Store, Proxy]) -> None:
    """If the answer to a COMMIT is lost, the call gets OUTCOME_UNKNOWN.

    The call was stored, so its event is skipped when the writer sends it again.
    """
    opened, proxy = proxied
    call: Callable[[], Any] = lambda: record(row("val", 1), writer="w")  # noqa: E731 - a call each time
    proxy.cut_at = b"COMMIT\0"
    assert await _reason(opened.transact(call())) == "OUTCOME_UNKNOWN"
    again = await opened.transact(call())
    assert (again.skipped_events, again.revision, proxy.cuts) == (1, 2, 1)


async def test_a_commit_that_never_arrives(proxied: tuple[Store, Proxy]) -> None:
    """If a COMMIT does not reach the database, the call gets OUTCOME_UNKNOWN, too.

    Nothing was stored, so the event is stored when the writer sends it again.
    """
    opened, proxy = proxied
    proxy.cut_at, proxy.passes_it_on = b"COMMIT\0", False
    assert await _reason(opened.transact(record(row("val", 1), writer="w"))) == "OUTCOME_UNKNOWN"
    again = await opened.transact(record(row("val", 1), writer="w"))
    assert (again.skipped_events, again.revision) == (0, 2)


async def test_a_connection_is_lost_before_the_commit(proxied: tuple[Store, Proxy]) -> None:
    """If a connection is lost before the COMMIT, the transaction runs again on another one.

    The caller gets no error.
    """
    opened, proxy = proxied
    proxy.cut_at, proxy.passes_it_on = b"READ COMMITTED", False
    outcome = await opened.transact(record(row("val", 1)))
    assert (outcome.revision, proxy.cuts) == (2, 1)


async def test_a_read_whose_connection_is_lost(proxied: tuple[Store, Proxy]) -> None:
    """If the connection of a read is lost, the read runs again on another one."""
    opened, proxy = proxied
    proxy.cut_at, proxy.passes_it_on = b"FROM experiments", False
    assert (await opened.experiment("x")).revision == 1
    assert proxy.cuts == 1


async def test_connections_that_the_database_ends(tmp_path: Path) -> None:
    """After the database has closed a store's connections, the store uses new ones.

    The database also closes all connections when it restarts.
    """
    url = store_url(tmp_path)
    opened = await open_store(f"{url}&application_name=ended_{tmp_path.name}")
    try:
        await opened.transact(record(declared(), arm()))
        async with connected(url) as connection:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = $1",
                f"ended_{tmp_path.name}",
            )
        assert (await opened.transact(record(row("val", 1)))).revision == 2
        assert (await opened.experiment("x")).revision == 2
    finally:
        await opened.close()


async def test_a_read_only_database(tmp_path: Path) -> None:
    """On a read-only database, reads work, and writes are rejected with the cause.

    A store cannot be created there.
    """
    url = store_url(tmp_path)
    read_only = f"{url}&default_transaction_read_only=on"
    with pytest.raises(StoreError, match="read-only"):
        await open_store(read_only)
    opened = await open_store(url)
    await opened.transact(record(declared(), arm()))
    await opened.close()
    opened = await open_store(read_only)
    try:
        assert (await opened.experiment("x")).revision == 1
        with pytest.raises(PodiumError, match="read-only now; nothing was changed"):
            await opened.transact(record(row("val", 1)))
    finally:
        await opened.close()


async def test_health_of_a_read_only_database(tmp_path: Path) -> None:
    """If the database is read-only, `podium health` reports that, and exits with 0."""
    url = store_url(tmp_path)
    await (await open_store(url)).close()
    async with serving(tmp_path, store=f"{url}&default_transaction_read_only=on") as [address]:
        outcome = await asyncio.to_thread(podium_command, "health", address=address)
    assert outcome == (0, f"{address} serves reads, but takes no writes now\n", "")
    async with serving(tmp_path, store=url) as [address]:
        outcome = await asyncio.to_thread(podium_command, "health", address=address)
    assert outcome == (0, f"{address} serves\n", "")


async def test_a_lock_that_another_session_keeps(tmp_path: Path) -> None:
    """A call that waits too long for a lock is rejected with OVERLOADED.

    Meanwhile, calls about other experiments succeed.
    """
    url = store_url(tmp_path)
    opened = await open_store(f"{url}&lock_timeout=200")
    try:
        await opened.transact(record(declared(), arm()))
        async with connected(url) as connection:
            transaction = connection.transaction()
            await transaction.start()
            await connection.execute("UPDATE experiments SET deleted = 0")
            waiting = asyncio.create_task(opened.transact(record(row("val", 1))))
            assert (await opened.transact(record(declared(), experiment="y"))).revision == 1
            assert await _reason(waiting) == "OVERLOADED"
            await transaction.rollback()
        assert (await opened.transact(record(row("val", 1)))).revision == 2
    finally:
        await opened.close()


async def test_all_connections_are_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If no connection becomes free in time, a read is rejected with OVERLOADED."""
    monkeypatch.setattr(store, "_CONNECTIONS", 1)
    monkeypatch.setattr(store, "_WAIT_SECONDS", 0.5)
    opened: Any = await open_store(store_url(tmp_path))
    try:
        await opened.transact(record(declared()))
        async with opened._connection():
            assert await _reason(opened.experiment("x")) == "OVERLOADED"
        assert (await opened.experiment("x")).revision == 1
    finally:
        await opened.close()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (asyncpg.DiskFullError("no space left"), "STORAGE_FULL"),
        (asyncpg.TooManyConnectionsError("too many clients"), "OVERLOADED"),
        (asyncpg.DeadlockDetectedError("deadlock"), "OVERLOADED"),
        (asyncpg.CannotConnectNowError("starting up"), "SHUTTING_DOWN"),
        (asyncpg.OutOfMemoryError("out of memory"), "OVERLOADED"),
        (asyncpg.PostgresIOError("could not write"), "SHUTTING_DOWN"),
        (ConnectionResetError("reset"), "SHUTTING_DOWN"),
        (asyncpg.InternalClientError("another operation is in progress"), "SHUTTING_DOWN"),
        (asyncpg.UndefinedTableError("no table"), "INTERNAL"),
    ],
)
def test_errors_of_the_database(error: Exception, reason: str) -> None:
    """Each error of the database gets a reason. The message says that nothing was changed."""
    found = errors.undone(error)
    assert found.reason == reason
    assert "nothing was changed" in found.message


async def test_a_database_of_another_program(tmp_path: Path) -> None:
    """A store is not opened on a database that has tables of another program."""
    url = store_url(tmp_path)
    async with connected(url) as connection:
        await connection.execute("CREATE TABLE experiments (name TEXT PRIMARY KEY)")
    with pytest.raises(StoreError, match="tables of another program"):
        await open_store(url)


async def test_a_newer_store(tmp_path: Path) -> None:
    """A store with newer tables can be opened, unless they require a newer server."""
    url = store_url(tmp_path)
    await (await open_store(url)).close()
    async with connected(url) as connection:
        await connection.execute("UPDATE store SET version = 9")
    await (await open_store(url)).close()
    async with connected(url) as connection:
        await connection.execute("UPDATE store SET oldest_server = 9")
    with pytest.raises(StoreError, match="start a newer podium"):
        await open_store(url)


async def test_a_commit_with_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the database warns at a COMMIT, the call gets OUTCOME_UNKNOWN.

    The database gives a warning if, for example, its wait for a replica was cancelled. Later calls
    succeed.
    """
    opened = await open_store(store_url(tmp_path))
    try:
        await opened.transact(record(declared(), arm()))
        warn = "DO $$ BEGIN RAISE WARNING 'the wait for the replica was cancelled'; END $$; COMMIT"
        execute = PooledConnection.execute

        def warning(self: Any, text: str, *rest: Any, **named: Any) -> Any:
            return execute(self, warn if text == "COMMIT" else text, *rest, **named)

        with monkeypatch.context() as patch:
            patch.setattr(PooledConnection, "execute", warning)
            assert await _reason(opened.transact(record(row("val", 1)))) == "OUTCOME_UNKNOWN"
        assert (await opened.transact(record(row("val", 2)))).revision == 3
    finally:
        await opened.close()


async def test_a_commit_that_no_replica_confirms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If no replica confirms a commit in time, the call gets OUTCOME_UNKNOWN.

    The experiment keeps its revision until the database no longer waits for a replica. Then it has
    the revision of the call.
    """
    if os.environ.get("PODIUM_TEST_POSTGRES"):
        pytest.skip("it changes settings of the whole database")
    monkeypatch.setattr(group_commit, "_COMMIT_SECONDS", 0.2)
    url = store_url(tmp_path)
    opened = await open_store(url)
    try:
        await opened.transact(record(declared(), arm()))
        last = 1
        async with connected(url) as connection:
            await connection.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
            await connection.execute("SELECT pg_reload_conf()")
            try:
                # The database notices the setting a moment later.
                with pytest.raises(PodiumError, match="unknown whether"):  # noqa: PT012
                    while True:
                        last = (await opened.transact(record(row("val", last)))).revision
                assert (await opened.experiment("x")).revision == last
            finally:
                await connection.execute("ALTER SYSTEM RESET synchronous_standby_names")
                await connection.execute("SELECT pg_reload_conf()")
        while (await opened.experiment("x")).revision != last + 1:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    finally:
        await opened.close()


async def test_a_filter_with_a_nul_character_finds_nothing(tmp_path: Path) -> None:
    """A filter with a NUL character finds nothing, and causes no error."""
    opened = await open_store(store_url(tmp_path))
    try:
        await opened.transact(record(declared(), arm("a")))
        for shown in (ArmFilter(name_prefix="a\0"), ArmFilter(tags=frozenset({"\0"}))):
            assert (await opened.arms("x", -1, PageLimits(9, 9), shown)).items == []
        found = await opened.experiments("", PageLimits(9, 9), ExperimentFilter(name_prefix="x\0"))
        assert found.items == []
    finally:
        await opened.close()


async def test_a_database_that_opens_no_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the database refuses all new connections, calls are rejected with SHUTTING_DOWN.

    Once connections can be opened again, calls succeed.
    """
    opened: Any = await open_store(store_url(tmp_path))
    try:
        await opened.transact(record(declared(), arm()))
        async with opened._connection() as connection:
            connection.terminate()
        with monkeypatch.context() as patch:
            patch.setattr(opened, "_url", urlsplit(opened._url)._replace(path="/none").geturl())
            patch.setattr(group_commit, "_TRIES", 1)
            assert await _reason(opened.transact(record(row("val", 1)))) == "SHUTTING_DOWN"
            assert await _reason(opened.experiment("x")) == "SHUTTING_DOWN"
        assert (await opened.transact(record(row("val", 1)))).revision == 2
    finally:
        await opened.close()


def test_messages_of_a_failed_database(caplog: pytest.LogCaptureFixture) -> None:
    """Of many warnings of one kind, only one is logged within some seconds.

    The next one has the number of those left out. Each incident is logged.
    """
    log = logging.getLogger("podium_server.seldom")
    seldom = errors.Seldom()
    log.addFilter(seldom)
    for number in range(3):
        log.warning("lost: %d", number)
    log.warning("full")
    log.error("incident", exc_info=ValueError())
    log.error("incident", exc_info=ValueError())
    assert [each.getMessage() for each in caplog.records] == ["lost: 0", "full"] + 2 * ["incident"]
    later = logging.LogRecord("", logging.WARNING, "", 0, "lost: %d", (3,), None)
    later.created += 11
    assert seldom.filter(later)
    assert later.getMessage() == "lost: 3 (2 more since the last such message)"
    log.removeFilter(seldom)
