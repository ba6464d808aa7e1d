"""Tests of tokens, quotas and audit logs of three servers on one database."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import podium
import pytest
from podium import TokenLimits, events
from podium_server.api import quotas, row_quotas
from podium_server.rpc.access import tokens as access
from podium_server.serve import tokens

from tests.server.access.serving import serving
from tests.stores import store_url


class _Clock:
    """The clock of the servers, which stands still unless a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        """Returns the time in seconds."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    """Replaces the clock by which servers read tokens again, count rows again and limit rates."""
    clock = _Clock()
    times = SimpleNamespace(monotonic=clock.monotonic, time_ns=time.time_ns)
    monkeypatch.setattr(access, "time", times)
    for module in (quotas, row_quotas):
        monkeypatch.setattr(module, "_clock", clock.monotonic)
    return clock


@asynccontextmanager
async def _clients(
    folder: Path, limits: TokenLimits | None = None
) -> AsyncIterator[list[podium.AsyncClient]]:
    """Yields a client of each of three servers, with the same token of an administrator."""
    _, secret = await asyncio.to_thread(
        tokens.create, store_url(folder), "ours", "admin", (), None, limits
    )
    async with AsyncExitStack() as stack:
        clients = []
        for at in range(3):
            settings = {"auth": "tokens", "audit": folder / f"audit{at}.jsonl"}
            [address] = await stack.enter_async_context(serving(folder, **settings))
            client = podium.AsyncClient(address, token=secret, retry=False)
            clients.append(await stack.enter_async_context(client))
        yield clients


async def _names(client: podium.AsyncClient) -> list[str]:
    return [experiment.name async for experiment in client.experiments()]


async def _refusals(calls: Sequence[Awaitable[Any]]) -> list[str]:
    """Makes calls at the same time. Returns the reasons of those that a quota has rejected."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    errors = [result for result in results if isinstance(result, BaseException)]
    assert all(isinstance(error, podium.ResourceExhaustedError) for error in errors), errors
    return [error.reason for error in errors if isinstance(error, podium.ResourceExhaustedError)]


async def test_a_revoked_token(tmp_path: Path, clock: _Clock) -> None:
    """Five seconds after one server has revoked a token, all servers reject calls with it."""
    async with _clients(tmp_path) as admins, AsyncExitStack() as stack:
        issued = await admins[0].create_token("t", "reader")
        clock.now += 1
        readers = [
            await stack.enter_async_context(podium.AsyncClient(admin.address, token=issued.secret))
            for admin in admins
        ]
        for reader in readers:
            assert await _names(reader) == []
        await admins[1].revoke_token("t")
        clock.now += 5
        for reader in readers:
            with pytest.raises(podium.UnauthenticatedError, match="was revoked"):
                await _names(reader)


async def test_the_limit_of_stored_rows(tmp_path: Path, clock: _Clock) -> None:
    """The limit counts the rows that were stored through any of the servers.

    Rows that are deleted through one server make room at another one.
    """
    async with _clients(tmp_path, TokenLimits(stored_rows=6)) as clients:
        for client in clients:  # each server knows that nothing is stored
            token = await client.whoami()
            assert token is not None
            assert token.stored_rows == 0
        for at in range(6):
            await clients[at % 3].experiment(f"x{at}").declare()
        clock.now += 3
        more = [client.experiment("more").declare() for client in clients]
        assert await _refusals(more) == ["QUOTA_EXCEEDED"] * 3
        await clients[0].experiment("x0").delete()
        clock.now += 3
        await clients[1].experiment("more").declare()
        clock.now += 3
        more = [client.experiment("much more").declare() for client in clients]
        assert await _refusals(more) == ["QUOTA_EXCEEDED"] * 3


@pytest.mark.parametrize("name", ["calls_per_second", "events_per_second", "bytes_per_second"])
async def test_the_limits_of_rates(name: str, tmp_path: Path, clock: _Clock) -> None:
    """Each server applies the limits of rates only to the calls that it receives itself."""
    async with _clients(tmp_path, TokenLimits(**{name: 1})) as clients:
        for client in clients:
            calls = [client.record("x", [events.experiment_declared()] * 5) for _ in range(5)]
            refused = await _refusals(calls)
            assert set(refused) == {"QUOTA_EXCEEDED"}
            assert 3 <= len(refused) <= 4
        clock.now += 1_000
        for client in clients:
            await client.record("x", [events.experiment_declared()])


async def test_the_audit_log(tmp_path: Path) -> None:
    """Each change is in the log of the server that made it, and in no other log."""
    async with _clients(tmp_path) as clients:
        for number in range(6):
            await clients[number % 3].create_token(f"t{number}", "reader")
            await clients[(number + 1) % 3].revoke_token(f"t{number}")
        await clients[0].experiment("x").declare()
        await clients[1].experiment("x").delete()
    seen = [_changes(tmp_path / f"audit{at}.jsonl") for at in range(3)]
    created = [[f"CreateToken t{at}", f"CreateToken t{at + 3}"] for at in range(3)]
    revoked = [
        [f"RevokeToken t{(at - 1) % 3}", f"RevokeToken t{(at - 1) % 3 + 3}"] for at in range(3)
    ]
    deleted = [[], ["DeleteExperiment x"], []]
    for at in range(3):
        assert seen[at] == Counter([*created[at], *revoked[at], *deleted[at]])


def _changes(log: Path) -> Counter[str]:
    """Counts the changes in a log by method and subject, such as `CreateToken t0`."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert all(line["token"]["name"] == "ours" and line["code"] == "OK" for line in lines)
    return Counter(
        f"{line['method'].rpartition('.')[2]} {next(iter(line['subject'].values()))}"
        for line in lines
    )
