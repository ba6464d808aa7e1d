"""Compares the PostgreSQL store with bare PostgreSQL, and two servers with one."""

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from statistics import median
from threading import Thread
from typing import Any

import asyncpg
import grpc
import uvloop
from data import row_calls, start_arms
from figures import Figure
from podium._limits.limits import Limits
from podium.v1.recording_service_pb2 import RecordRequest
from podium.v1.results_service_pb2 import EvalRequest
from podium_server.api.callers import CALLER, EVERYONE
from podium_server.api.recording import Recording
from podium_server.store.open import open_store
from podium_server.testing import running_server
from servers import asking
from wire import Load, drive

__all__ = ["measure"]

_EXPERIMENTS = 8
_ROWS = 100
_MOST_ROWS = 8_000
"""An upper bound of the rows per second. Before each round, requests for this rate are built."""
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


def measure(url: str, *, seconds: float, rounds: int) -> list[Figure]:
    """Measures the empty store at a URL. Each result is the median of `rounds` rounds."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        figures = runner.run(_writes(url, seconds, rounds))
    return [*figures, *_reads(url, seconds, rounds)]


async def _writes(url: str, seconds: float, rounds: int) -> list[Figure]:
    """Measures calls of one row and of 100 rows on 8 experiments, compared with bare inserts."""
    CALLER.set(EVERYONE)
    store = await open_store(url)
    recording = Recording(store, Limits())
    connections = [await asyncpg.connect(url) for _ in range(_EXPERIMENTS)]
    await connections[0].execute(_TABLE)
    figures, steps = [], itertools.count()
    for rows, target in ((1, 0.8), (_ROWS, 0.6)):
        names = [f"bench/{rows}/{at}" for at in range(_EXPERIMENTS)]
        for start in itertools.chain.from_iterable(start_arms(name, 1) for name in names):
            await recording.record(start)
        writers = [_Writer(recording, name, rows) for name in names]
        raw = [_inserting(connection, at, rows, steps) for at, connection in enumerate(connections)]
        seen = []
        for _ in range(rounds):
            base = await _rate(raw, seconds)
            for writer in writers:
                writer.prepare(int(seconds * _MOST_ROWS / rows))
            rate = await _rate([writer.record for writer in writers], seconds)
            seen.append((rate / base, rate * rows, base * rows))
        figures.append(_against_inserts(rows, target, *map(median, zip(*seen, strict=True))))
    for connection in connections:
        await connection.close()
    await store.close()
    return figures


def _against_inserts(rows: int, target: float, ratio: float, rate: float, base: float) -> Figure:
    what = f"calls of {rows} rows, {_EXPERIMENTS} experiments, against PostgreSQL's own inserts"
    seen = f"{ratio:.2f} ({rate:,.0f} of {base:,.0f} rows/s)"
    return Figure(what, seen, f">= {target}", ratio >= target)


class _Writer:
    """Records the rows of one arm."""

    def __init__(self, recording: Recording, experiment: str, rows: int) -> None:
        self._recording = recording
        self._calls = row_calls(experiment, 0, rows)
        self._ready = deque[RecordRequest]()

    def prepare(self, count: int) -> None:
        """Builds requests until `count` of them are ready, before the time is measured."""
        calls = itertools.islice(self._calls, count - len(self._ready))
        self._ready.extend(map(RecordRequest.FromString, calls))

    async def record(self) -> None:
        """Makes the next call."""
        await self._recording.record(self._ready.popleft())


def _inserting(
    connection: asyncpg.Connection, at: int, rows: int, steps: Iterator[int]
) -> Callable[[], Awaitable[Any]]:
    if rows == 1:
        return lambda: connection.execute(_ONE, at, next(steps), _CONTENT)
    return lambda: connection.execute(
        _MANY, at, list(itertools.islice(steps, rows)), [_CONTENT] * rows
    )


async def _rate(actions: list[Callable[[], Awaitable[Any]]], seconds: float) -> float:
    """Returns the actions per second of all loops together.

    Each action runs in a loop of its own.
    """
    done, begin = 0, time.perf_counter()

    async def repeat(action: Callable[[], Awaitable[Any]]) -> None:
        nonlocal done
        while time.perf_counter() < begin + seconds:
            await action()
            done += 1

    await asyncio.gather(*map(repeat, actions))
    return done / (time.perf_counter() - begin)


def _reads(url: str, seconds: float, rounds: int) -> list[Figure]:
    """Measures Eval at one server, and at two servers at the same time."""
    with ExitStack() as stack:
        servers = [stack.enter_context(running_server(url, "--log-level", "error")) for _ in "12"]
        with grpc.insecure_channel(servers[0].address) as channel:
            record = asking(channel, _RECORD)
            for start in start_arms("bench/reads", _ARMS):
                record(start.SerializeToString())
            for writer in range(_ARMS):
                record(next(row_calls("bench/reads", writer, _ROWS)))
        addresses, seen = [server.address for server in servers], []
        for _ in range(rounds):
            one, both = _driven(addresses[:1], seconds), _driven(addresses, seconds)
            seen.append((one, both, both / one))
    one, both, ratio = map(median, zip(*seen, strict=True))
    what, shown = "Eval at two servers against one", f"{ratio:.2f} ({both:,.0f}/s)"
    return [
        Figure("Eval per server process", f"{one:,.0f}/s", ">= 4,000/s", one >= 4_000),
        Figure(what, shown, ">= 1.6", ratio >= 1.6),
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
