"""Tests of guessed tokens, which cause few reads, and of guessed names, which cause none."""

import asyncio
import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import grpc
import podium
import pytest
from podium._values.tokens import new_token
from podium.errors import PodiumError
from podium_server.api.callers import CALLER
from podium_server.api.tokens import new_row
from podium_server.rpc.access import tokens as access_tokens
from podium_server.rpc.access.tokens import Access
from podium_server.serve import tokens
from podium_server.store.contract import Store
from podium_server.store.open import add_token, open_store
from podium_server.store.tokens import Role, digest_of

from tests.server.access.serving import serving
from tests.server.access.test_every_rpc import RPCS, WITHOUT_NAME, Case, ask, record
from tests.stores import only_sqlite, store_url

_EVAL = "podium.v1.ResultsService.Eval"


class _Counted:
    """The tokens of a store, and the number of times that they were read."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.reads = 0

    async def tokens(self) -> Any:
        self.reads += 1
        return await self._store.tokens()


async def _reason(access: Access, token: str) -> str:
    try:
        await access.enter(_EVAL, lambda: [f"Bearer {token}"])
    except PodiumError as error:
        return error.reason
    return ""


async def test_guesses_share_their_reads(tmp_path: Path) -> None:
    """A thousand unknown tokens are all rejected, with a limited number of reads of the store.

    A token that is created meanwhile is accepted at its first call.
    """
    url = store_url(tmp_path)
    await asyncio.to_thread(tokens.create, url, "t", "reader", (), None)
    store = await open_store(url)
    try:
        counted = _Counted(store)
        access = Access(counted.tokens, is_on=True)
        begin = time.monotonic()
        guesses = [new_token().text for _ in range(1000)]
        answers = asyncio.gather(*(_reason(access, guess) for guess in guesses))
        created, secret = new_row("t", Role.READER, (), None)
        await store.add_token(created)
        assert await _reason(access, secret) == ""
        assert CALLER.get().token == created
        assert set(await answers) == {"TOKEN_INVALID"}
        for _ in range(20):
            assert await _reason(access, new_token().text) == "TOKEN_INVALID"
        seconds = time.monotonic() - begin
        assert 1 <= counted.reads <= 2 + seconds / access_tokens._PAUSE_SECONDS
    finally:
        await store.close()


async def test_a_known_id_costs_as_much_as_an_unknown_one(tmp_path: Path) -> None:
    """A known id with a wrong secret causes as many reads as an unknown id.

    So the time of the answer does not reveal whether an id exists.
    """
    url = store_url(tmp_path)
    store = await open_store(url)
    try:
        mine, other = new_token(), new_token()
        row, _ = new_row("t", Role.READER, (), None)
        await store.add_token(dataclasses.replace(row, id=mine.id))
        for guess in (mine.text, other.text):
            counted = _Counted(store)
            assert await _reason(Access(counted.tokens, is_on=True), guess) == "TOKEN_INVALID"
            assert counted.reads == 2
    finally:
        await store.close()


@pytest.fixture
def statements() -> Iterator[list[str]]:
    """Yields the list of all SQL statements about experiments that this process runs."""
    seen: list[str] = []

    def trace(_cursor: apsw.Cursor, statement: str, _bindings: Any) -> bool:
        if "experiments" in statement:
            seen.append(statement)
        return True

    def hook(connection: apsw.Connection) -> None:
        connection.exec_trace = trace

    apsw.connection_hooks.append(hook)
    yield seen
    apsw.connection_hooks.remove(hook)


@only_sqlite
@pytest.mark.parametrize("rpc", [rpc for rpc in RPCS.values() if rpc.name not in WITHOUT_NAME])
async def test_a_forbidden_name_reaches_no_store(
    rpc: Any, statements: list[str], tmp_path: Path
) -> None:
    """A call for a name outside the token's prefixes runs no statement about experiments.

    So its time does not reveal whether the experiment exists.
    """
    url = store_url(tmp_path)
    _, admin = await asyncio.to_thread(tokens.create, url, "admin", "admin", (), None)
    new = new_token()
    row, _ = new_row("t", Role.ADMIN, ("team",), None)
    await asyncio.to_thread(
        add_token, url, dataclasses.replace(row, id=new.id, digest=digest_of(new.text))
    )
    case = Case(Role.ADMIN, "good", ("team",), f"Bearer {new.text}")
    async with (
        serving(tmp_path, auth="tokens") as [address],
        podium.AsyncClient(address, token=admin, read_timeout=60) as client,
        grpc.aio.insecure_channel(address) as channel,
    ):
        await record(client)
        await ask(channel, rpc, case, "team/none")
        assert statements
        for name in ("other/x", "other/none"):
            statements.clear()
            assert (await ask(channel, rpc, case, name)).code == "NOT_FOUND"
            assert statements == []
