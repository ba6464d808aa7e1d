"""Tests of AccessService: WhoAmI, and the management of tokens with calls and commands."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import podium
import pytest
from podium._limits.limits import Limits
from podium.v1.access_service_pb2 import ListTokensRequest
from podium_server.api.callers import CALLER, Caller
from podium_server.api.tokens import Tokens, new_row, revocable
from podium_server.serve import tokens
from podium_server.store.open import back_up_store, open_store
from podium_server.store.tokens import Role

from tests.client.cli.shell import podium as command
from tests.server.access.serving import serving
from tests.stores import only_sqlite, store_url


class Served(NamedTuple):
    """A server that requires tokens, and the tokens of two administrators."""

    url: str
    address: str
    admin: str
    team_admin: str


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    """Yields a server with two administrators.

    One manages all experiments. The other one has the prefixes `team` and `lab/x`.
    """
    url = store_url(tmp_path)

    def create() -> list[str]:
        prefixes: list[tuple[str, ...]] = [(), ("team", "lab/x")]
        return [tokens.create(url, "admin", "admin", each, None)[1] for each in prefixes]

    made = await asyncio.to_thread(create)
    async with serving(tmp_path, auth="tokens") as [address]:
        yield Served(url, address, *made)


async def test_a_client_learns_its_token(served: Served) -> None:
    """`whoami` returns the name, role, prefixes and expiry of the caller's token.

    The `repr` of a newly created token does not contain its secret.
    """
    end = datetime(2999, 1, 2, tzinfo=UTC)
    async with podium.AsyncClient(served.address, token=served.admin) as admin:
        issued = await admin.create_token("t", "recorder", prefixes=["nlp"], expire_time=end)
    assert issued.secret.startswith(f"pdm_{issued.token.id}_")
    assert issued.secret[20:] not in repr(issued)
    async with podium.AsyncClient(served.address, token=issued.secret) as client:
        token = await client.whoami()
    assert token == replace(issued.token, stored_rows=0)
    assert (token.name, token.role, token.prefixes) == ("t", "recorder", ["nlp"])
    assert (token.expire_time, token.revoke_time) == (end, None)
    assert token.create_time is not None


async def test_a_token_is_created_used_and_revoked(served: Served) -> None:
    """A new token is valid at once. Revoking it a second time finds no token."""
    async with podium.AsyncClient(served.address, token=served.admin) as admin:
        issued = await admin.create_token("t", podium.Role.RECORDER)
        async with podium.AsyncClient(served.address, token=issued.secret) as client:
            await client.experiment("x").declare()
        before = [token.id async for token in admin.tokens()]
        assert before[-1] == issued.token.id
        assert [token.id for token in await admin.revoke_token("t")] == [issued.token.id]
        assert await admin.revoke_token("t") == []
        *_, last = [token async for token in admin.tokens()]
        assert last.revoke_time is not None


async def test_a_limited_administrator_stays_within_its_prefixes(served: Served) -> None:
    """An administrator with prefixes can neither see, revoke nor create tokens beyond them."""
    async with (
        podium.AsyncClient(served.address, token=served.admin) as admin,
        podium.AsyncClient(served.address, token=served.team_admin) as limited,
    ):
        for prefixes in ((), ("other",), ("team/a", "other"), ("teams",), ("lab",)):
            issued = await admin.create_token("hidden", "reader", prefixes=prefixes)
            assert await limited.revoke_token(issued.token.id) == []
            if prefixes:
                with pytest.raises(podium.InvalidArgumentError, match="only allows names within"):
                    await limited.create_token("t", "reader", prefixes=prefixes)
        shown = await admin.create_token("shown", "reader", prefixes=["team/a"])
        inherited = await limited.create_token("inherited", "admin")
        assert inherited.token.prefixes == ["team", "lab/x"]
        names = [token.name async for token in limited.tokens()]
        assert names == ["admin", "shown", "inherited"]
        assert [token.id for token in await limited.revoke_token("shown")] == [shown.token.id]
        assert await limited.revoke_token("hidden") == []
        assert len(await admin.revoke_token("hidden")) == 5


@only_sqlite
@pytest.mark.parametrize("limits", [Limits(page_rows=1), Limits(page_bytes=1)])
async def test_pages_of_tokens_follow_each_other(served: Served, limits: Limits) -> None:
    """A list of tokens on several pages has each token once, in the order of creation."""
    folder = Path(served.url.removeprefix("sqlite:///")).parent
    for number in range(3):
        await asyncio.to_thread(tokens.create, served.url, f"t{number}", "reader", (), None)
    copy = folder / "copy"
    copy.mkdir()
    await asyncio.to_thread(back_up_store, served.url, copy / "podium.db")
    async with (
        serving(copy, auth="tokens", limits=limits) as [address],
        podium.AsyncClient(address, token=served.admin) as admin,
    ):
        names = [token.name async for token in admin.tokens()]
    assert names == ["admin", "admin", "t0", "t1", "t2"]


async def test_tokens_of_one_name_are_bounded(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If two tokens of a name are allowed, a third one is rejected.

    After the two are revoked, two new ones can be created.
    """
    monkeypatch.setattr("podium_server.api.tokens._MOST_OF_A_NAME", 2)
    async with podium.AsyncClient(served.address, token=served.admin) as admin:
        for _ in range(2):
            await admin.create_token("t", "reader")
        with pytest.raises(podium.InvalidArgumentError, match="'t' has 3 valid tokens; at most 2"):
            await admin.create_token("t", "reader")
        assert len(await admin.revoke_token("t")) == 2
        for _ in range(2):
            await admin.create_token("t", "reader")


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"name": ""}, "name is empty"),
        ({"prefixes": ["a//b"]}, "prefixes 'a//b' has a segment"),
        ({"prefixes": ["a"] * 101}, "at most 100"),
        ({"expire_time": datetime.now(UTC) - timedelta(days=1)}, "expire_time is in the past"),
    ],
)
async def test_a_bad_field_of_a_new_token(
    served: Served, settings: dict[str, object], error: str
) -> None:
    """If a field of a new token is invalid, the error describes it, and no token is created."""
    async with podium.AsyncClient(served.address, token=served.admin) as admin:
        with pytest.raises(podium.InvalidArgumentError, match=error):
            await admin.create_token(**{"name": "t", "role": "reader", **settings})  # type: ignore[arg-type]
        assert len([token async for token in admin.tokens()]) == 2


async def test_a_server_without_tokens_creates_none(tmp_path: Path) -> None:
    """A server that requires no tokens refuses to create, list or revoke tokens.

    Otherwise a stranger could create a token before the server begins to require tokens.
    """
    async with serving(tmp_path, auth="none") as [address], podium.AsyncClient(address) as client:
        assert await client.whoami() is None
        with pytest.raises(podium.UnauthenticatedError, match="a server that requires no tokens"):
            await client.create_token("t", "admin")
        with pytest.raises(podium.UnauthenticatedError, match="a server that requires no tokens"):
            [token async for token in client.tokens()]
        with pytest.raises(podium.UnauthenticatedError, match="a server that requires no tokens"):
            await client.revoke_token("t")


async def test_the_commands_use_the_server_or_the_store(served: Served) -> None:
    """`podium token` uses the server with --address, and the store with --store.

    `podium whoami` shows the role and the prefixes of the token.
    """

    def run() -> None:
        made = command(
            "token", "create", "t", "--role", "reader", "--prefix", "nlp", "--expires-in", "90d",
            "--address", served.address, PODIUM_TOKEN=served.admin, PODIUM_STORE="sqlite:////no/s.db",
        )  # fmt: skip
        assert made.code == 0
        secret = made.out.strip()
        shown = command("whoami", address=served.address, PODIUM_TOKEN=secret).out
        assert "reader" in shown
        assert "nlp" in shown
        for place in ({"address": served.address}, {"PODIUM_STORE": served.url}):
            listed = command("token", "list", "--json", PODIUM_TOKEN=served.admin, **place)
            assert [each["name"] for each in json.loads(listed.out)] == ["admin", "admin", "t"]
        both = command("token", "list", "--store", served.url, "--address", served.address)
        assert (both.code, "not both" in both.err) == (2, True)
        revoked = command("token", "revoke", "t", "--store", served.url)
        assert revoked.out.endswith("(t) is revoked\n")
        refused = command("token", "list", address=served.address, PODIUM_TOKEN=served.team_admin)
        assert len(refused.out.splitlines()) == 2

    await asyncio.to_thread(run)


def test_only_valid_tokens_can_be_revoked() -> None:
    """`revocable` finds valid tokens by id, name or text, but no expired or revoked ones."""
    row, text = new_row("t", Role.READER, (), None)
    other, _ = new_row("other", Role.READER, (), None)
    expired = replace(row, id="e", expires=100)
    rows = [row, other, expired, replace(row, id="r", revoked=1)]
    for key in (row.id, "t", text):
        assert revocable(rows, key, 100) == [row], key
    assert revocable(rows, "t", 99) == [row, expired]
    assert revocable(rows, "T", 100) == []


async def test_a_page_of_tokens_keeps_to_its_limits(tmp_path: Path) -> None:
    """A page of tokens keeps to the limits of rows and bytes, but has at least one token."""
    admin, _ = new_row("admin", Role.ADMIN, (), None)
    CALLER.set(Caller(admin))
    store = await open_store(store_url(tmp_path), on_broken=lambda: None)
    for number in range(4):
        await store.add_token(new_row(f"t{number}", Role.READER, (), None)[0])
    for limits, expected in (
        (Limits(), 4),
        (Limits(page_rows=3), 3),
        (Limits(page_bytes=1), 1),
        (Limits(page_bytes=100), 2),
    ):
        page = await Tokens(store, limits).list_tokens(ListTokensRequest())
        assert (len(page.tokens), bool(page.next_page_token)) == (expected, expected < 4)
    await store.close()


def test_the_command_shows_the_rows_of_each_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """`LocalTokens` lists each token with the number of rows stored under its prefixes."""
    prefixes: list[tuple[str, ...]] = [(), ("a",), ("bb", "c"), ("a",)]
    rows = [new_row(f"{each}", Role.READER, each, None)[0] for each in prefixes]
    monkeypatch.setattr(tokens, "read_tokens", lambda _url: rows)

    def count(_url: str, groups: list[tuple[str, ...]]) -> list[int]:
        return [len("".join(group)) for group in groups]

    monkeypatch.setattr(tokens, "count_rows", count)
    assert [token.stored_rows for token in tokens.LocalTokens("url").tokens()] == [0, 1, 3, 1]
