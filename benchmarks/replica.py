"""Measures the cost and the delay of a followed experiment: `python benchmarks/replica.py`.

It prints the time of one `score()` of a followed experiment, which is in memory. It also prints the
time from the acknowledgement of a write until `follow()` in this process has the write: first
without other clients, then while other clients write. With `--across`, two servers share a
PostgreSQL database. One gets the writes, and `follow()` reads from the other.
"""

import argparse
import asyncio
import multiprocessing
import time
import timeit
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from statistics import median, quantiles

import podium
from podium_server.testing import running_server
from stores import SQLITE, stores

_WRITERS = 8
_LOOPS, _REPEATS = 100_000, 5
_EXPERIMENT, _ARM = "followed", "measured"


async def _load(address: str, ends: Connection) -> None:
    """Writes to the followed experiment with several writers, until the pipe has a message."""

    async def write(client: podium.AsyncClient, number: int) -> None:
        run = await client.experiment(_EXPERIMENT).start_arm(podium.RunConfig(f"load{number}"))
        step = 0
        while True:
            await run.log_eval("val", {"accuracy": 0.5}, step=(step := step + 1) % 1_000)

    async with podium.AsyncClient(address) as client:
        writers = [asyncio.create_task(write(client, number)) for number in range(_WRITERS)]
        await asyncio.sleep(1)
        ends.send(None)
        await asyncio.to_thread(ends.recv)
        for writer in writers:
            writer.cancel()


def _run(address: str, ends: Connection) -> None:
    asyncio.run(_load(address, ends))


@contextmanager
def _loaded(address: str) -> Iterator[None]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(address, theirs))
    process.start()
    ours.recv()
    yield
    ours.send(None)
    process.join()


def _delays(client: podium.Client, live: podium.Live, writes: int) -> str:
    """Returns p50 and p99 of the time until an acknowledged write is in the followed state."""
    delays = []
    for step in range(writes):
        event = podium.events.eval_recorded(
            _ARM, podium.EvalResult("val", metrics={"accuracy": step / 7}, step=step % 1_000)
        )
        recorded = client.record(_EXPERIMENT, [event])
        acknowledged = time.perf_counter()
        live.wait_for(recorded.revision, timeout=60)
        delays.append(1e3 * (time.perf_counter() - acknowledged))
        time.sleep(0.01)
    return f"p50 {median(delays):.1f} ms, p99 {quantiles(delays, n=100)[-1]:.1f} ms"


def main() -> None:
    """Measures a new server with a new store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--writes", type=int, default=500)
    parser.add_argument("--across", action="store_true", help="use two servers on one PostgreSQL")
    given = parser.parse_args()
    writes, target = given.writes, 80 if given.across else 15
    with ExitStack() as stack:
        create = stack.enter_context(stores("postgres" if given.across else SQLITE))
        store = create("replica")
        server, *others = (
            stack.enter_context(running_server(store)) for _ in range(1 + given.across)
        )
        client = stack.enter_context(podium.Client(server.address))
        experiment = client.experiment(_EXPERIMENT)
        experiment.declare(success_metric="val.accuracy")
        run = experiment.start_arm(podium.RunConfig(_ARM))
        run.log_eval("val", {"accuracy": 0.5}, step=1)
        followed = stack.enter_context(podium.Client((others or [server])[0].address))
        with followed.experiment(_EXPERIMENT).follow() as live:
            # The time of this thread: the following thread and other processes do not count.
            times = timeit.repeat(
                lambda: live.arm(_ARM).score("val.accuracy"),
                timer=time.thread_time,
                number=_LOOPS,
                repeat=_REPEATS,
            )
            print(f"score(): {1e6 * min(times) / _LOOPS:.2f} µs (target: <= 1)")
            print(f"a commit is visible, idle: {_delays(client, live, writes)} (target: {target})")
            with _loaded(server.address):
                found = _delays(client, live, writes)
            print(f"a commit is visible, {_WRITERS} other writers: {found} (target: {target})")


if __name__ == "__main__":
    main()
