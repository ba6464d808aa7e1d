"""Tests of several servers that use one database at the same time."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import podium
from podium._limits.limits import Limits
from podium.v1.results_service_pb2 import RankRequest, WatchRequest
from podium.v1.results_service_pb2_grpc import ResultsServiceStub
from podium_server.api.results import Results
from podium_server.store.contract import PageLimits, Store
from podium_server.store.filters import EvalFilter
from podium_server.store.open import open_store
from podium_server.testing.calls import (
    arm,
    declared,
    delete_arm,
    delete_experiment,
    metrics,
    record,
    row,
)
from podium_server.writes import RecordCall

from tests.server.access.serving import serving
from tests.stores import store_url


async def _stores(stack: AsyncExitStack, folder: Path, count: int) -> list[Store]:
    """Opens a number of stores over one database, all at the same time."""
    stores = await asyncio.gather(*(open_store(store_url(folder)) for _ in range(count)))
    for store in stores:
        stack.push_async_callback(store.close)
    return stores


async def test_the_first_start_of_three_servers(tmp_path: Path) -> None:
    """If three servers create a store at the same time, all of them have the same store."""
    async with AsyncExitStack() as stack:
        stores = await _stores(stack, tmp_path, 3)
        assert len({await store.store_id() for store in stores}) == 1
        assert len({store.page_key for store in stores}) == 1
        await stores[0].transact(record(declared(), arm()))
        for store in stores:
            assert (await store.experiment("x")).revision == 1


async def test_rows_of_an_older_store_are_counted(tmp_path: Path) -> None:
    """When a newer server opens a store of version 1, the rows are counted.

    That version had no counts of rows.
    """
    url = store_url(tmp_path)
    async with AsyncExitStack() as stack:
        [store] = await _stores(stack, tmp_path, 1)
        await store.transact(record(declared(), arm(), row("val"), row("val", 1)))
        await store.transact(record(metrics({"loss": 1.0}, step=1), metrics({"lr": 1.0}, step=2)))
        await store.transact(record(declared(), arm(), experiment="deleted"))
        await store.transact(delete_experiment("deleted"))
    connection = await asyncpg.connect(url)
    await connection.execute("ALTER TABLE experiments DROP COLUMN row_count")
    await connection.execute("UPDATE store SET version = 1")
    await connection.close()
    async with AsyncExitStack() as stack:
        stores = await _stores(stack, tmp_path, 3)
        assert [await store.row_count([]) for store in stores] == [6, 6, 6]


async def test_calls_of_three_servers_on_one_experiment(tmp_path: Path) -> None:
    """If three servers write to one experiment, its revisions have no gaps.

    All rows are stored, and each server reads all of them.
    """
    async with AsyncExitStack() as stack:
        stores = await _stores(stack, tmp_path, 3)
        await stores[0].transact(record(declared(), arm()))
        calls = [
            store.transact(record(row("val", 3 * number + at, metrics={"acc": number})))
            for number in range(60)
            for at, store in enumerate(stores)
        ]
        outcomes = await asyncio.gather(*calls)
        assert sorted(outcome.revision for outcome in outcomes) == list(range(2, 182))
        for store in stores:
            page = await store.evals("x", "a", -1, PageLimits(1_000, 2**21), EvalFilter())
            assert (len(page.items), page.revision) == (180, 181)


async def test_servers_that_create_one_experiment_at_once(tmp_path: Path) -> None:
    """If three servers create one experiment at the same time, each call is applied."""
    async with AsyncExitStack() as stack:
        stores = await _stores(stack, tmp_path, 3)
        for number in range(10):
            name = f"x{number}"
            calls = [
                store.transact(record(declared(), arm(f"a{at}"), experiment=name))
                for at, store in enumerate(stores)
            ]
            outcomes = await asyncio.gather(*calls)
            assert sorted(outcome.revision for outcome in outcomes) == [1, 2, 3]


async def test_a_stream_that_goes_on_at_another_server(tmp_path: Path) -> None:
    """If a stream continues at another server, events that are already stored are skipped."""

    def call(first: int, *steps: int) -> RecordCall:
        return record(*(row("val", step) for step in steps), writer="w", first=first)

    async with AsyncExitStack() as stack:
        first, second = await _stores(stack, tmp_path, 2)
        await first.transact(record(declared(), arm()))
        await first.transact(call(1, 1, 2, 3))
        again = await second.transact(call(2, 2, 3, 4))
        assert (again.skipped_events, again.changed_events, again.last_sequence) == (2, 1, 4)
        both = await asyncio.gather(*(store.transact(call(5, 5)) for store in (first, second)))
        assert sorted(outcome.skipped_events for outcome in both) == [0, 1]


async def test_rankings_and_places_follow_other_servers(tmp_path: Path) -> None:
    """After a change by another server, a cached ranking is not used.

    If that server has deleted an arm and recorded it again, the cached id of the arm is not used.
    """
    async with AsyncExitStack() as stack:
        first, second = await _stores(stack, tmp_path, 2)
        await first.transact(
            record(declared(success_metric="loss"), arm(status=3, metrics={"loss": 1}))
        )
        results: Any = Results(second, Limits(), 2**20)
        request = RankRequest(experiment="x")
        before = await results.rank(request)
        assert before == await results.rank(request)
        assert await second.score("x", "a", [(None, "loss")]) is not None
        await first.transact(record(metrics({"loss": 2})))
        assert await results.rank(request) != before
        await first.transact(delete_arm("a"))
        await first.transact(record(arm(status=3, metrics={"loss": 3})))
        score = await second.score("x", "a", [(None, "loss")])
        assert score is not None
        assert score.entry.value == 3


async def test_a_watch_shows_commits_of_another_server(tmp_path: Path) -> None:
    """A watch at one server sends what is recorded at another one."""
    async with (
        serving(tmp_path) as [one],
        serving(tmp_path) as [other],
        podium.AsyncClient(one) as client,
        grpc.aio.insecure_channel(other) as channel,
    ):
        experiment = client.experiment("x")
        await experiment.declare()
        watch = ResultsServiceStub(channel).Watch(WatchRequest(experiment="x"))
        revisions: asyncio.Queue[int] = asyncio.Queue()

        async def follow() -> None:
            async for response in watch:
                if response.HasField("marker"):
                    revisions.put_nowait(response.marker.revision)

        task = asyncio.create_task(follow())
        assert await revisions.get() == 1
        for number in range(5):
            async with experiment.start_arm(podium.RunConfig(name=f"r{number}")) as recorded:
                await recorded.log({"loss": number})
            last = (await experiment.get()).revision
            while await revisions.get() != last:
                pass
        task.cancel()
        watch.cancel()


async def test_a_client_of_three_servers_reads_its_writes(tmp_path: Path) -> None:
    """A client of three servers reads its last write, whichever server answers."""
    async with AsyncExitStack() as stack:
        servers = [(await stack.enter_async_context(serving(tmp_path)))[0] for _ in range(3)]
        client = await stack.enter_async_context(podium.AsyncClient(",".join(servers)))
        await client.experiment("x").declare()
        result = podium.ArmResult("a", podium.RunConfig("a"), "running")
        await client.experiment("x").record_arm(result)
        handle = client.arm("x", "a")
        for number in range(10):
            await handle.log({"loss": number})
            assert [await handle.score("loss") for _ in servers] == [number] * 3


async def test_a_watch_goes_on_at_another_server(tmp_path: Path) -> None:
    """If its server stops, a watch continues at another one without a gap.

    It gets no second snapshot.
    """
    async with AsyncExitStack() as stack:
        [one] = await stack.enter_async_context(serving(tmp_path))
        leaving = await stack.enter_async_context(AsyncExitStack())
        [other] = await leaving.enter_async_context(serving(tmp_path))
        client = await stack.enter_async_context(podium.AsyncClient(f"{other},{one}"))
        experiment = client.experiment("x")
        await experiment.declare()
        watches = [aiter(experiment.watch()) for _ in range(2)]
        for watch in watches:
            assert (await anext(watch)).marker is not None
        await leaving.aclose()
        await experiment.record_arm(podium.ArmResult("a", podium.RunConfig("a"), "completed"))
        for watch in watches:
            update = await anext(watch)
            assert update.marker is not None
            assert (update.marker.revision, update.is_reset) == (2, False)
            assert [item.arm.name for item in update.arms] == ["a"]
