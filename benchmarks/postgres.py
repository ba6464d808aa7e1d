"""Compares two servers with one, and the PostgreSQL store with PostgreSQL alone.

    python -m benchmarks.postgres [--seconds 5]

It starts its own PostgreSQL, which syncs each commit to disk.
"""

import argparse
import asyncio
import itertools
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

sys.path.append(str(Path(__file__).parent))

import asyncpg
import grpc
import uvloop
from data import row_calls, start_arms
from figures import Figure, table
from podium._limits.limits import Limits
from podium.v1.recording_service_pb2 import RecordRequest
from podium.v1.results_service_pb2 import EvalRequest
from podium_server.api.callers import CALLER, EVERYONE
from podium_server.api.recording import Recording
from podium_server.store.open import open_store
from podium_server.testing import running_server
from servers import asking
from wire import Load, drive

from tests.postgres import running_postgres, schema_url

_EXPERIMENTS = 8
_ROWS = 100
_MOST_ROWS = 8_000
"""The rows per second for which requests are built, for each experiment."""
_ARMS = 16
_READERS = 16
_RECORD = "/podium.v1.RecordingService/Record"
_EVAL = "/podium.v1.ResultsService/Eval"
_TABLE = (
    "CREATE TABLE raw (e BIGINT, a BIGINT, n TEXT, p BIGINT, s BIGINT, content BYTEA, "
    "PRIMARY KEY (e, a, n, p, s))"
)
_ONE = "INSERT INTO raw VALUES ($1, 0, 'val', 0, $2, $3)"
_MANY = (
    "INSERT INTO raw SELECT $1, 0, 'val', 0, * FROM unnest(CAST($2 AS BIGINT[]), "
    "CAST($3 AS BYTEA[]))"
)
_CONTENT = b"x" * 80


def main() -> int:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="seconds of each measurement")
    seconds = parser.parse_args().seconds
    with TemporaryDirectory() as folder:
        running_postgres(durable=True)
        url = schema_url(Path(folder))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            figures = [*runner.run(_writes(url, seconds)), *_reads(url, seconds)]
    print(table(figures))
    return 0


async def _writes(url: str, seconds: float) -> list[Figure]:
    """Measures calls of one row and of 100 rows on 8 experiments, against bare inserts."""
    CALLER.set(EVERYONE)
    store = await open_store(url)
    recording = Recording(store, Limits())
    connections = [await asyncpg.connect(url) for _ in range(_EXPERIMENTS)]
    await connections[0].execute(_TABLE)
    figures, steps = [], itertools.count()
    for rows, target in ((1, 0.8), (_ROWS, 0.6)):
        for at in range(_EXPERIMENTS):
            for start in start_arms(f"bench/{rows}/{at}", 1):
                await recording.record(start)
        most = int(seconds * _MOST_ROWS / rows)
        requests = [_requests(f"bench/{rows}/{at}", rows, most) for at in range(_EXPERIMENTS)]
        ours = [_calling(recording, each) for each in requests]
        raw = [_inserting(connection, at, rows, steps) for at, connection in enumerate(connections)]
        base = await _rate(raw, seconds)
        rate = await _rate(ours, seconds)
        what = f"calls of {rows} rows, {_EXPERIMENTS} experiments, against PostgreSQL's own inserts"
        seen = f"{rate / base:.2f} ({rate * rows:,.0f} of {base * rows:,.0f} rows/s)"
        figures.append(Figure(what, seen, f">= {target}", rate / base >= target))
    for connection in connections:
        await connection.close()
    await store.close()
    return figures


def _requests(experiment: str, rows: int, count: int) -> Iterator[RecordRequest]:
    """Yields the requests that writers send, built before the time is taken."""
    calls = itertools.islice(row_calls(experiment, 0, rows), count)
    return iter(list(map(RecordRequest.FromString, calls)))


def _calling(recording: Any, requests: Iterator[RecordRequest]) -> Callable[[], Awaitable[Any]]:
    return lambda: recording.record(next(requests))


def _inserting(
    connection: asyncpg.Connection, at: int, rows: int, steps: Iterator[int]
) -> Callable[[], Awaitable[Any]]:
    if rows == 1:
        return lambda: connection.execute(_ONE, at, next(steps), _CONTENT)
    return lambda: connection.execute(
        _MANY, at, list(itertools.islice(steps, rows)), [_CONTENT] * rows
    )


async def _rate(actions: list[Callable[[], Awaitable[Any]]], seconds: float) -> float:
    """Returns the total actions per second if all actions run concurrently and repeat."""
    done, begin = 0, time.perf_counter()

    async def repeat(action: Callable[[], Awaitable[Any]]) -> None:
        nonlocal done
        while time.perf_counter() < begin + seconds:
            await action()
            done += 1

    await asyncio.gather(*map(repeat, actions))
    return done / (time.perf_counter() - begin)


def _reads(url: str, seconds: float) -> list[Figure]:
    """Measures Eval at one server, and at two servers at the same time."""
    with ExitStack() as stack:
        servers = [stack.enter_context(running_server(url, "--log-level", "error")) for _ in "12"]
        with grpc.insecure_channel(servers[0].address) as channel:
            record = asking(channel, _RECORD)
            for start in start_arms("bench/reads", _ARMS):
                record(start.SerializeToString())
            for writer in range(_ARMS):
                record(next(row_calls("bench/reads", writer, _ROWS)))
        one = _driven([servers[0].address], seconds)
        both = _driven([server.address for server in servers], seconds)
    return [
        Figure("Eval per server process", f"{one:,.0f}/s", ">= 4,000/s", one >= 4_000),
        Figure(
            "Eval at two servers against one",
            f"{both / one:.2f} ({both:,.0f}/s)",
            ">= 1.6",
            both / one >= 1.6,
        ),
    ]


def _driven(addresses: list[str], seconds: float) -> float:
    """Returns the Eval calls per second of all servers together."""
    loads: list[Load] = []

    def run(address: str) -> None:
        loads.append(drive(address, _EVAL, [_evals(at) for at in range(_READERS)], seconds))

    threads = [Thread(target=run, args=(address,)) for address in addresses]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(load.rate for load in loads)


def _evals(reader: int) -> Iterator[bytes]:
    for number in itertools.count(reader):
        arm = f"arm{number % _ARMS}"
        request = EvalRequest(experiment="bench/reads", arm=arm, name="val", step=number % _ROWS)
        yield request.SerializeToString()


if __name__ == "__main__":
    sys.exit(main())
