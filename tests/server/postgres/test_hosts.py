"""Tests that a store with several hosts uses the leader, even if a former leader hangs."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from podium_server.store.open import open_store
from podium_server.store.postgres import connections, store
from podium_server.store.postgres.hosts import connect
from podium_server.testing.calls import arm, declared, record, row

from tests.client.client.broken import closed_port, tcp_server
from tests.server.postgres.proxy import SOCKET, Proxy, query_of


async def test_a_leader_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a leader neither answers nor disconnects, calls continue at the other host."""
    monkeypatch.setattr(connections, "_HUNG_SECONDS", 0.1)
    monkeypatch.setattr(connections, "_CHECK_SECONDS", 0.05)
    monkeypatch.setattr(store, "_STATEMENT_SECONDS", 3_600)
    query = query_of(tmp_path)
    proxies = [Proxy(f"{query['host']}/{SOCKET}") for _ in range(2)]
    async with AsyncExitStack() as stack:
        servers = [
            await stack.enter_async_context(await asyncio.start_server(each.serve, "127.0.0.1", 0))
            for each in proxies
        ]
        ports = [server.sockets[0].getsockname()[1] for server in servers]
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        url = f"postgresql://podium@{hosts}/postgres?search_path={query['search_path']}"
        opened: Any = await open_store(url)
        try:
            await opened.transact(record(declared(), arm()))
            async with opened._connection() as connection:
                used = ports.index(connection.host[1])
            proxies[used].is_hung = True
            assert (await opened.experiment("x")).revision == 1
            assert (await opened.transact(record(row("val", 1), writer="w"))).revision == 2
        finally:
            await opened.close()


async def test_an_error_names_the_host() -> None:
    """If no connection can be opened, the error names the host and the port, not the password."""
    address = closed_port()
    with pytest.raises(ConnectionError) as refused:
        await connect(f"postgresql://podium:secret@{address}/postgres")
    assert str(refused.value).startswith(f"cannot connect to {address}: ")
    assert "secret" not in str(refused.value)
    with (
        tcp_server(b"") as silent,
        pytest.raises(ConnectionError, match=f"^{silent} does not answer$"),
    ):
        await connect(f"postgresql://podium:secret@{silent}/postgres", timeout=0.2)
