"""What watches cost a server: `python benchmarks/watching.py`.

Idle watches, and watches whose clients read nothing, while others write. It prints the server's
memory before and with the watches, and the writes' p99 without and with them, in turns.
"""

import argparse
import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from statistics import quantiles
from typing import Any

import grpc
import podium
from podium.v1.results_service_pb2 import WatchRequest
from podium.v1.results_service_pb2_grpc import ResultsServiceStub
from podium_server.testing import RunningServer, running_server
from servers import memory_mib

_CONNECTIONS = 10
_LARGE_ROWS, _LARGE_TEXT = 640, "x" * 32 * 1024
"""More than the buffers of a connection hold, so that watches that are not read stall."""


@asynccontextmanager
async def _watching(address: str, watches: int, *, reading: bool) -> AsyncIterator[None]:
    """Opens watches over some connections; each one reads its first marker, or nothing at all."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with AsyncExitStack() as stack:
        calls: list[Any] = []
        for _ in range(_CONNECTIONS):
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(address, options))
            stub: Any = ResultsServiceStub(channel)
            request = WatchRequest(experiment="watched")
            calls += [stub.Watch(request) for _ in range(watches // _CONNECTIONS)]
        if reading:
            await asyncio.gather(*map(_marker, calls))
        else:
            await asyncio.gather(*(call.initial_metadata() for call in calls))
        yield
        for call in calls:
            call.cancel()


async def _marker(call: Any) -> None:
    while not (await call.read()).HasField("marker"):
        pass


async def _write(client: podium.AsyncClient, writes: int) -> float:
    """Returns the p99 of single-row writes in milliseconds, in another experiment."""
    arm = client.arm("written", "a")
    times = []
    for step in range(writes):
        begin = time.perf_counter()
        await arm.log_eval("val", {"accuracy": 0.5}, step=step)
        times.append(1e3 * (time.perf_counter() - begin))
    return quantiles(times, n=100)[-1]


async def _measure(
    server: RunningServer, idle: int, stalled: int, writes: int, rounds: int
) -> None:
    async with podium.AsyncClient(server.address) as client:
        for name in ("written", "watched"):
            await client.experiment(name).declare()
            run = await client.experiment(name).start_arm(podium.RunConfig("a"))
        await _write(client, writes)
        before = memory_mib(server.process.pid)
        async with _watching(server.address, idle, reading=True):
            await asyncio.sleep(1)
            grown = memory_mib(server.process.pid) - before
            print(f"{idle:,} idle watches: {grown:+.1f} MiB, {1024 * grown / idle:.0f} KiB each")
        for step in range(_LARGE_ROWS):
            await run.log_eval("large", {"x": 1.0}, step=step, breakdowns={"text": _LARGE_TEXT})
        ratios = []
        before = memory_mib(server.process.pid)
        for _ in range(rounds):
            alone = await _write(client, writes)
            async with _watching(server.address, stalled, reading=False):
                ratios.append(await _write(client, writes) / alone)
                grown = memory_mib(server.process.pid) - before
        print(
            f"{stalled} watches that read nothing: writes' p99 x{min(ratios):.2f} at best of "
            f"{[round(ratio, 2) for ratio in ratios]}, {grown:+.1f} MiB (targets: <= 1.1, <= 16)"
        )


def main() -> None:
    """Measures a new server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--idle", type=int, default=400)
    parser.add_argument("--stalled", type=int, default=50)
    parser.add_argument("--writes", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with running_server() as server:
        asyncio.run(_measure(server, given.idle, given.stalled, given.writes, given.rounds))


if __name__ == "__main__":
    main()
