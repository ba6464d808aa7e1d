"""Measures durable writes, compared with the echo server and with bare SQLite."""

import asyncio
import itertools
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import apsw
import grpc
import podium
from data import row_calls, start_arms
from figures import Figure
from podium._limits.limits import Limits
from podium.v1.recording_service_pb2 import RecordRequest
from podium_server.api.callers import CALLER, EVERYONE
from podium_server.api.recording import Recording
from podium_server.store.sqlite import SqliteStore
from servers import asking
from wire import Load, drive

__all__ = ["Effort", "batches", "single_rows"]

_WRITERS = 32
_BATCH_WRITERS, _BATCH_ROWS = 8, 100
_MOST_ROWS = 150_000
_ECHO = "/bench.Echo/Echo"
_RECORD = "/podium.v1.RecordingService/Record"
_SLOW_COMMIT = 0.8e-3

Statements = list[tuple[str, Sequence[Any] | None]]


class Effort(NamedTuple):
    """The number and the seconds of rounds, and whether to compare with bare SQLite."""

    rounds: int
    seconds: float
    with_sqlite: bool


def single_rows(
    podium_address: str, echo: str, effort: Effort, *, how: str, target: float
) -> list[Figure]:
    """Measures calls that record one row, from many writers. Each call waits for the disk."""
    ratios, rates, busy = [], [], []
    for number in range(effort.rounds):
        experiment = f"bench/single{number}"
        _start(podium_address, experiment, _WRITERS)
        writers = [row_calls(experiment, writer, 1) for writer in range(_WRITERS)]
        echoed = [row_calls(experiment, writer, 1) for writer in range(_WRITERS)]
        base = drive(echo, _ECHO, echoed, effort.seconds)
        load = drive(podium_address, _RECORD, writers, effort.seconds)
        _check_stored(podium_address, experiment, load, 1)
        ratios.append(load.rate / base.rate)
        rates.append(load.rate)
        busy.append(max(load.busy, base.busy))
    seen = f"{median(ratios):.2f} ({median(rates):,.0f}/s, generator {max(busy):.0%} busy)"
    what = f"Record of one row, {how}, {_WRITERS} writers, durable: against the echo"
    figures = [Figure(what, seen, f">= {target}", median(ratios) >= target)]
    return [*figures, _against_commits(median(rates), how)] if effort.with_sqlite else figures


def _against_commits(rate: float, how: str) -> Figure:
    raw = _raw_rate(rows=1, calls=400)
    is_slow = 1 / raw >= _SLOW_COMMIT
    return Figure(
        f"Record of one row, {how}: against raw SQLite commits ({1e3 / raw:.2f} ms each)",
        f"{rate / raw:.2f}",
        ">= 2 where a commit takes >= 0.8 ms",
        rate / raw >= 2 if is_slow else None,
    )


def batches(podium_address: str, effort: Effort) -> list[Figure]:
    """Measures calls that record 100 rows, compared with their SQL statements in bare SQLite."""
    ratios, rates = [], []
    for number in range(effort.rounds):
        experiment = f"bench/batch{number}"
        _start(podium_address, experiment, _BATCH_WRITERS)
        calls = _prepared(experiment, effort.seconds)
        load = drive(podium_address, _RECORD, calls, effort.seconds)
        _check_stored(podium_address, experiment, load, _BATCH_ROWS)
        rates.append(load.rate * _BATCH_ROWS)
        if effort.with_sqlite:
            ratios.append(rates[-1] / _raw_rate(rows=_BATCH_ROWS, calls=200))
    what = f"Record in calls of {_BATCH_ROWS} rows: rows/s"
    if not effort.with_sqlite:
        return [Figure(what, f"{median(rates):,.0f}", "", None)]
    seen = f"{median(ratios):.2f} ({median(rates):,.0f} rows/s)"
    return [Figure(f"{what} against raw SQLite", seen, ">= 0.7", median(ratios) >= 0.7)]


def _prepared(experiment: str, seconds: float) -> list[Iterator[bytes]]:
    """Returns the encoded calls of each batch writer: more than it can send in `seconds`."""
    calls = int(seconds * _MOST_ROWS / _BATCH_ROWS / _BATCH_WRITERS)
    streams = [row_calls(experiment, writer, _BATCH_ROWS) for writer in range(_BATCH_WRITERS)]
    return [iter(list(itertools.islice(stream, calls))) for stream in streams]


def _start(address: str, experiment: str, writers: int) -> None:
    with grpc.insecure_channel(address) as channel:
        record = asking(channel, _RECORD)
        for call in start_arms(experiment, writers):
            record(call.SerializeToString())


def _check_stored(address: str, experiment: str, load: Load, rows: int) -> None:
    """Raises a RuntimeError if fewer rows are stored than were acknowledged."""
    with podium.Client(address) as client:
        stored = sum(arm.eval_count for arm in client.experiment(experiment).arms())
    if stored < load.calls * rows:
        raise RuntimeError(f"{load.calls * rows} rows were acknowledged, {stored} are stored")


def _raw_rate(*, rows: int, calls: int) -> float:
    """Returns the rows per second of bare SQLite.

    Bare SQLite runs the statements that Podium runs for the calls.
    """
    with tempfile.TemporaryDirectory() as folder:
        path, copy = Path(folder) / "podium.db", Path(folder) / "raw.db"
        statements = asyncio.run(_statements(path, copy, rows, calls))
        connection = apsw.Connection(str(copy))
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", "full")
        connection.pragma("cache_size", -8192)
        begin = time.perf_counter()
        for call in statements:
            connection.execute("BEGIN IMMEDIATE")
            for statement, bindings in call:
                connection.execute(statement, bindings).fetchall()
            connection.execute("COMMIT")
        seconds = time.perf_counter() - begin
        connection.close()
    return calls * rows / seconds


async def _statements(path: Path, copy: Path, rows: int, calls: int) -> list[Statements]:
    """Records rows in a new store at `path`. Returns the SQL statements of each call.

    `copy` gets a copy of the store's file from before these calls.
    """
    store = SqliteStore(path)
    await store.open()
    CALLER.set(EVERYONE)
    recording = Recording(store, Limits())
    for start in start_arms("bench/raw", _WRITERS):
        await recording.record(start)
    await store.close()
    shutil.copy(path, copy)
    await store.open()
    recorded: list[Statements] = []
    streams = [row_calls("bench/raw", writer, rows) for writer in range(_WRITERS)]
    for number in range(calls):
        recorded.append([])
        store.trace(lambda text, bindings: recorded[-1].append((text, bindings)))
        await recording.record(RecordRequest.FromString(next(streams[number % _WRITERS])))
    await store.close()
    return [[s for s in call if s[0] not in ("BEGIN IMMEDIATE", "COMMIT")] for call in recorded]
