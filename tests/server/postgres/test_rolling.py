"""Tests of clients of three servers on one database while the servers stop or are upgraded."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.client import HTTPConnection
from pathlib import Path

import podium
import pytest
from podium import events
from podium_server.store.postgres import schema
from podium_server.testing import RunningServer

from tests.postgres import connected
from tests.server.postgres.newer_server import MODULE as NEWER
from tests.stores import store_url

pytest.importorskip("connectrpc")

_CLIENTS = 3
_ROUNDS = 5
"""The rounds of each client that have to succeed after each change of the servers."""


class _Server(RunningServer):
    """A server process of this version, or of the next one."""

    module = "podium_server"

    def _command(self) -> list[str]:
        python, option, _, *arguments = super()._command()
        return [python, option, self.module, *arguments]

    def answers(self) -> bool:
        """Returns whether this server has answered a Score call since its start."""
        connection = HTTPConnection(self.http.removeprefix("http://"), timeout=120)
        connection.request("GET", "/metrics")
        page = connection.getresponse().read().decode()
        connection.close()
        return 'podium_calls_total{method="podium.v1.ResultsService.Score",code="OK"}' in page


class _Load:
    """Clients that record rows and read them back, in rounds of a write and four reads.

    A wrong answer or an error fails the test. The exception is a write that fails with
    UnavailableError: it is sent again.

    Attributes:
        repeated: The number of writes that were sent again.
    """

    def __init__(self, servers: list[_Server]) -> None:
        self.repeated = 0
        self._address = ",".join(server.address for server in servers)
        self._rounds = [0] * _CLIENTS
        self._is_over = False

    async def run(self, number: int) -> None:
        """Makes the calls of one client until `end`. Then checks that each row is stored once."""
        name = f"x{number}"
        async with podium.AsyncClient(self._address) as client:
            experiment = client.experiment(name)
            await experiment.declare(success_metric="val.acc")
            await experiment.record_arm(podium.ArmResult("a", podium.RunConfig("a"), "running"))
            revision, arm = (await experiment.get()).revision, client.arm(name, "a")
            steps = 0
            while not self._is_over:
                steps += 1
                await self._write(client, name, steps)
                assert await arm.score("val.acc") == steps
                row = await arm.eval("val", step=steps)
                assert row is not None
                assert row.metrics == {"acc": steps}
                assert (await experiment.get()).revision == revision + steps
                assert [found.name async for found in experiment.arms()] == ["a"]
                self._rounds[number] = steps
            assert [row.step async for row in arm.evals()] == list(range(1, steps + 1))

    async def _write(self, client: podium.AsyncClient, name: str, step: int) -> None:
        row = podium.EvalResult("val", metrics={"acc": float(step)}, step=step)
        position = podium.StreamPosition("writer", step)
        while True:
            try:
                await client.record(name, [events.eval_recorded("a", row)], position)
            except podium.UnavailableError:
                self.repeated += 1
            else:
                return

    async def go_on(self) -> None:
        """Waits until each client has made some more rounds."""
        wanted = [rounds + _ROUNDS for rounds in self._rounds]
        while any(now < then for now, then in zip(self._rounds, wanted, strict=True)):  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    def end(self) -> None:
        """Ends the load after the rounds that are running."""
        self._is_over = True


@asynccontextmanager
async def _three_servers(folder: Path) -> AsyncIterator[list[_Server]]:
    """Starts three servers at the same time on an empty database, and yields them."""
    url, arguments = store_url(folder), ("--http", "127.0.0.1:0")
    starts = (asyncio.to_thread(_Server, url, arguments) for _ in range(3))
    servers = await asyncio.gather(*starts)
    try:
        yield servers
    finally:
        for server in servers:
            await asyncio.to_thread(server.stop)


@asynccontextmanager
async def _loaded(servers: list[_Server]) -> AsyncIterator[_Load]:
    """Puts load on all servers inside the block."""
    load = _Load(servers)
    async with asyncio.TaskGroup() as group:
        for number in range(_CLIENTS):
            group.create_task(load.run(number))
        await load.go_on()
        yield load
        load.end()


async def _until_it_answers(server: _Server) -> None:
    while not await asyncio.to_thread(server.answers):  # noqa: ASYNC110 - no event to wait for
        await asyncio.sleep(0.05)


async def test_servers_that_stop_and_return(tmp_path: Path) -> None:
    """No call fails while the servers stop and start again, one after the other."""
    async with _three_servers(tmp_path) as servers, _loaded(servers) as load:
        for server in servers:
            await asyncio.to_thread(server.stop)
            await load.go_on()
            await asyncio.to_thread(server.start)
            await _until_it_answers(server)
    assert load.repeated == 0


async def test_servers_that_are_killed_and_return(tmp_path: Path) -> None:
    """No read fails while the servers are killed and started again, one after the other.

    Each row is stored once, even if its server was killed before it answered.
    """
    async with _three_servers(tmp_path) as servers, _loaded(servers) as load:
        for server in servers:
            await asyncio.to_thread(server.kill)
            await load.go_on()
            await asyncio.to_thread(server.start)
            await _until_it_answers(server)


async def test_an_upgrade_of_three_servers(tmp_path: Path) -> None:
    """No call fails while the servers are replaced by newer ones, one after the other.

    The newer servers add columns and tables to the database.
    """
    async with _three_servers(tmp_path) as servers, _loaded(servers) as load:
        for server in servers:
            server.module = NEWER
            await asyncio.to_thread(server.restart)
            await _until_it_answers(server)
            await load.go_on()
            assert await _version(tmp_path) == schema.VERSION + 1
    assert load.repeated == 0


async def _version(folder: Path) -> int:
    async with connected(store_url(folder)) as connection:
        return int(await connection.fetchval("SELECT version FROM store"))
