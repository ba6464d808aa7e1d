"""Measures the cost of watches in a server: `python benchmarks/watching.py`.

It prints three figures. A separate process makes the watches:

- the server's memory with idle watches;
- the server's memory with watches whose clients read nothing, one of them 500,000 revisions behind;
- the p99 of other clients' writes with these watches, against the same writes without them.

The writes without watches run before and after those with them. The ratio of the p99 of these two
shows the noise of the measurement.
"""

import argparse
import asyncio
import multiprocessing
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from itertools import chain
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import quantiles
from typing import Any, NamedTuple

import grpc
import podium
from data import row_calls, start_arms
from podium._limits.limits import Limits
from podium.v1.recording_service_pb2 import RecordRequest
from podium.v1.results_service_pb2 import WatchRequest
from podium.v1.results_service_pb2_grpc import ResultsServiceStub
from podium_server.api.callers import CALLER, EVERYONE
from podium_server.api.recording import Recording
from podium_server.store.sqlite import SqliteStore
from podium_server.testing import RunningServer, running_server
from servers import cpu_seconds, memory_mib

_WATCHED = "watched"
_FILLERS = 64
_IDLE_CONNECTIONS = 10
_LARGE_ROWS, _LARGE_TEXT = 640, "x" * 32 * 1024
"""These rows exceed the buffers of a connection, so watches stall if their clients do not read."""
_STALL_SECONDS = 2.0
"""The seconds after which the buffers are full. After 10 s, the server ends such watches."""
_WRITERS, _WRITE_PAUSE = 4, 0.002
_CHANGE_PAUSE = 0.02


async def _fill(path: Path, revisions: int) -> None:
    """Makes an experiment with a number of revisions, each of which adds a row."""
    store = SqliteStore(path)
    await store.open()
    CALLER.set(EVERYONE)
    recording = Recording(store, Limits())
    for call in start_arms(_WATCHED, _FILLERS):
        await recording.record(call)
    streams = [row_calls(_WATCHED, writer, 1) for writer in range(_FILLERS)]
    for _ in range(revisions // _FILLERS):
        calls = [RecordRequest.FromString(next(stream)) for stream in streams]
        await asyncio.gather(*map(recording.record, calls))
    await store.close()


# ---- The process of the watches ----------------------------------------------------------------


@asynccontextmanager
async def _watches(
    address: str, requests: list[WatchRequest], connections: int, *, reading: bool
) -> AsyncIterator[None]:
    """Opens watches.

    With `reading`, each client reads up to its first marker. Otherwise the clients read nothing.
    """
    # A client buffers 64 KiB before the server has to wait. With the probe, it would buffer 4 MiB.
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.http2.bdp_probe", 0)]
    async with AsyncExitStack() as stack:
        channels = [
            await stack.enter_async_context(grpc.aio.insecure_channel(address, options))
            for _ in range(connections)
        ]
        stubs: list[Any] = [ResultsServiceStub(channel) for channel in channels]
        calls = [
            stubs[number % connections].Watch(request) for number, request in enumerate(requests)
        ]
        await asyncio.gather(*(_marker(call) if reading else _metadata(call) for call in calls))
        yield
        for call in calls:
            call.cancel()


async def _marker(call: Any) -> None:
    while not (await call.read()).HasField("marker"):
        pass


async def _metadata(call: Any) -> None:
    await call.initial_metadata()


async def _hold(
    address: str, raw: list[bytes], connections: int, *, reading: bool, ends: Connection
) -> None:
    requests = list(map(WatchRequest.FromString, raw))
    async with _watches(address, requests, connections, reading=reading):
        ends.send(None)
        await asyncio.to_thread(ends.recv)


def _run(address: str, raw: list[bytes], connections: int, reading: bool, ends: Connection) -> None:
    asyncio.run(_hold(address, raw, connections, reading=reading, ends=ends))


@contextmanager
def _watching(
    address: str, requests: list[WatchRequest], connections: int, *, reading: bool
) -> Iterator[None]:
    """Opens watches in a separate process, and waits until all are open."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    raw = [request.SerializeToString() for request in requests]
    process = context.Process(target=_run, args=(address, raw, connections, reading, theirs))
    process.start()
    try:
        ours.recv()
        yield
    finally:
        ours.send(None)
        process.join()


# ---- The process that measures -----------------------------------------------------------------


class _Written(NamedTuple):
    """The times of single-row writes in milliseconds, and the CPU time of the server."""

    times: list[float]
    cpu: float

    @property
    def p99(self) -> float:
        return quantiles(self.times, n=100)[-1]

    @property
    def cpu_each(self) -> float:
        return self.cpu / len(self.times)

    def __add__(self, other: "_Written") -> "_Written":  # type: ignore[override]
        return _Written(self.times + other.times, self.cpu + other.cpu)


async def _write(client: podium.AsyncClient, server: int, seconds: float) -> _Written:
    """Writes single rows to an experiment that is not watched, with several writers.

    Meanwhile the watched experiment changes, as in a sweep.
    """
    used = cpu_seconds(server)
    changing = asyncio.create_task(_change(client))
    ends = time.perf_counter() + seconds
    times = await asyncio.gather(*(_write_rows(client, at, ends) for at in range(_WRITERS)))
    changing.cancel()
    return _Written(list(chain.from_iterable(times)), cpu_seconds(server) - used)


async def _write_rows(client: podium.AsyncClient, writer: int, ends: float) -> list[float]:
    arm, times = client.arm("written", "a"), []
    while (begin := time.perf_counter()) < ends:
        await arm.log_eval("val", {"accuracy": 0.5}, step=writer)
        times.append(1e3 * (time.perf_counter() - begin))
        await asyncio.sleep(_WRITE_PAUSE)
    return times


async def _change(client: podium.AsyncClient) -> None:
    while True:
        await client.arm(_WATCHED, "arm0").log_eval("val", {"accuracy": 0.5}, step=-1)
        await asyncio.sleep(_CHANGE_PAUSE)


async def _prepare(client: podium.AsyncClient) -> int:
    """Adds an experiment for the writes, and large rows to the watched one.

    Returns the newest revision of the watched experiment.
    """
    for name in ("written", _WATCHED):
        await client.experiment(name).declare()
    await client.experiment("written").start_arm(podium.RunConfig("a"), restart=True)
    large = await client.experiment(_WATCHED).start_arm(podium.RunConfig("large"), restart=True)
    for step in range(_LARGE_ROWS):
        await large.log_eval("large", {"x": 1.0}, step=step, breakdowns={"text": _LARGE_TEXT})
    return (await client.experiment(_WATCHED).get()).revision


async def _measure_idle(server: RunningServer, given: argparse.Namespace) -> None:
    async with podium.AsyncClient(server.address) as client:
        newest = await _prepare(client)
        before = memory_mib(server.process.pid)
        requests = [WatchRequest(experiment=_WATCHED, after_revision=newest)] * given.idle
        with _watching(server.address, requests, _IDLE_CONNECTIONS, reading=True):
            await asyncio.sleep(1)
            grown = memory_mib(server.process.pid) - before
    print(
        f"{given.idle:,} idle watches: {grown:+.1f} MiB, "
        f"{1024 * grown / given.idle:.0f} KiB each (target for 1,000: <= 32 MiB)"
    )


async def _measure_stalled(server: RunningServer, given: argparse.Namespace) -> None:
    async with podium.AsyncClient(server.address) as client:
        newest = await _prepare(client)
        requests = [WatchRequest(experiment=_WATCHED, after_revision=newest - _LARGE_ROWS)]
        requests = requests * (given.stalled - 1)
        requests.append(WatchRequest(experiment=_WATCHED, after_revision=_FILLERS + 1))
        pid, seconds, grown = server.process.pid, given.seconds, 0.0
        before = beside = after = _Written([], 0)
        await _write(client, pid, seconds)
        memory = memory_mib(pid)
        for _ in range(given.rounds):
            before += await _write(client, pid, seconds)
            with _watching(server.address, requests, given.stalled, reading=False):
                await asyncio.sleep(_STALL_SECONDS)
                beside += await _write(client, pid, seconds)
                grown = max(grown, memory_mib(pid) - memory)
            after += await _write(client, pid, seconds)
    alone = before + after
    print(
        f"{given.stalled} watches that read nothing, one {newest:,} revisions behind: "
        f"{len(beside.times):,} writes of others, p99 {beside.p99:.2f} ms, "
        f"x{beside.p99 / alone.p99:.2f} (target: <= 1.1); without watches before and after: "
        f"{before.p99:.2f} ms and {after.p99:.2f} ms, x{after.p99 / before.p99:.2f}; the server's "
        f"processor time for each write x{beside.cpu_each / alone.cpu_each:.2f}; "
        f"{grown:+.1f} MiB (target: <= 16)"
    )


def main() -> None:
    """Measures a new server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--idle", type=int, default=1_000)
    parser.add_argument("--stalled", type=int, default=50)
    parser.add_argument("--behind", type=int, default=500_000, help="revisions of the experiment")
    parser.add_argument("--seconds", type=float, default=5, help="the time of each measurement")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--store", type=Path, help="keep the filled store here, and use it again")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = given.store or Path(folder) / "podium.db"
        if not path.exists():
            asyncio.run(_fill(path, given.behind))
        most = ("--total-limit", f"watches={2 * given.idle}")
        for measure in (_measure_idle, _measure_stalled):
            with running_server(f"sqlite:///{path}", *most) as server:
                asyncio.run(measure(server, given))


if __name__ == "__main__":
    main()
