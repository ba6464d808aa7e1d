"""Compares the costs of the frequent operations with the committed baseline.

    make bench-guard                         fails if one costs 15 % more than benchmarks/guard.json
    python benchmarks/guard.py --update      writes the baseline, after an intended change

A figure must be the same on a busy and on a quiet machine. So there are two kinds of figures:

- Reads, and `log_eval` of a trainer: the CPU time of the operation in this process, without
  network, as a multiple of a floor of the same kind of work (one statement of SQLite, protobuf
  messages, plain Python). Both are measured in turn, and the best of many rounds counts, since
  other programs only add time. On a machine at load 20 they differed by 8 % at most.
- Writes: the number of function calls for a row, in Python and in libraries. The CPU time of a
  commit is not used, since it differed by 30 %.

`make bench` measures times of calls over the network, of commits and of starts, without limits.
"""

import argparse
import asyncio
import itertools
import json
import os
import platform
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import podium
from data import (
    MATRIX,
    MATRIX_ARMS,
    MEDIUM,
    MEDIUM_ARMS,
    check_eval,
    check_rank,
    check_score,
    check_scores,
    eval_request,
    fill_experiments,
    rank_request,
    row_calls,
    score_request,
    scores_request,
    start_arms,
)
from podium._limits.limits import Limits
from podium.v1.eval_result_pb2 import EvalResult
from podium.v1.recording_service_pb2 import RecordRequest
from podium.v1.results_service_pb2 import (
    EvalRequest,
    RankRequest,
    ScoreRequest,
    ScoresRequest,
)
from podium_server.api.callers import CALLER, EVERYONE
from podium_server.api.recording import Recording
from podium_server.api.results import Results
from podium_server.store.sqlite import SqliteStore

_BASELINE = Path(__file__).with_name("guard.json")
_ALLOWED = 1.15
_ROUNDS, _ROUND_SECONDS, _WRITES = 40, 0.02, 50

_WRITE = "Record, rows in a call: {}, functions a row"

Operation = Callable[[], Awaitable[None]]


async def main() -> int:
    """Prints the figures beside the baseline. Returns 1 if one is too high."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--update", action="store_true", help="write the baseline")
    update = parser.parse_args().update
    with tempfile.TemporaryDirectory() as folder:
        figures = await _read_costs(Path(folder)) | await _write_calls(Path(folder))
    if update:
        _BASELINE.write_text(json.dumps(figures, indent=2) + "\n")
        return 0
    baseline: dict[str, float] = json.loads(_BASELINE.read_text())
    if baseline.keys() != figures.keys():
        sys.exit(f"{_BASELINE.name} lists other operations: run benchmarks/guard.py --update")
    print(f"Python {platform.python_version()}")
    for name, figure in figures.items():
        change = figure / baseline[name]
        verdict = "" if change <= _ALLOWED else f"  FAILED: more than {_ALLOWED - 1:.0%} above"
        print(
            f"{name:40}{figure:8,.2f}  baseline {baseline[name]:,.2f} ({change - 1:+.0%}){verdict}"
        )
    return int(any(figures[name] > _ALLOWED * baseline[name] for name in figures))


async def _read_costs(folder: Path) -> dict[str, float]:
    """Returns the CPU times of reads and of `log_eval`, as multiples of the floor."""
    path = folder / "reads.db"
    await fill_experiments(path, {MEDIUM: MEDIUM_ARMS, MATRIX: MATRIX_ARMS})
    store = SqliteStore(path)
    await store.open()
    CALLER.set(EVERYONE)
    floor = _floor()
    ratios = {
        name: await _ratio(operation, floor, time.process_time)
        for name, operation in _reads(store).items()
    }
    await store.close()
    with _logging(folder) as log:
        # Excludes the CPU time of the thread that writes to the disk.
        ratios["log_eval of a trainer"] = await _ratio(log, floor, time.thread_time)
    return {f"{name}, floors": round(ratio, 2) for name, ratio in ratios.items()}


async def _ratio(operation: Operation, floor: Operation, clock: Callable[[], float]) -> float:
    """Returns the best CPU time of an operation, divided by that of the floor."""
    times, floors = [], []
    for _ in range(_ROUNDS):
        times.append(await _cpu_time(operation, clock))
        floors.append(await _cpu_time(floor, clock))
    return min(times) / min(floors)


async def _cpu_time(operation: Operation, clock: Callable[[], float]) -> float:
    """Returns the CPU time of one call, on average of a short round."""
    begin, calls = clock(), 0
    while (used := clock() - begin) < _ROUND_SECONDS:
        await operation()
        calls += 1
    return used / calls


def _floor() -> Operation:
    """Returns the work that all costs are divided by: to read, decode, change and encode a row."""
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE TABLE rows (name TEXT, step INTEGER, row BLOB)")
    connection.execute("CREATE UNIQUE INDEX by_name ON rows (name, step)")
    for step in range(1_000):
        row = EvalResult(name="val", step=step, metrics={"loss": 1 / (1 + step)}, tags=["val"])
        connection.execute("INSERT INTO rows VALUES ('val', ?, ?)", (step, row.SerializeToString()))
    steps = itertools.cycle(range(1_000))

    async def read() -> None:
        sql = "SELECT row FROM rows WHERE name = ? AND step = ?"
        [(encoded,)] = connection.execute(sql, ("val", next(steps)))
        row = EvalResult.FromString(encoded)
        row.metrics["loss"] = sum(value / 2 for value in row.metrics.values())
        row.SerializeToString()

    return read


def _reads(store: SqliteStore) -> dict[str, Operation]:
    """Returns the reads by name. A read raises an error if its answer is wrong."""
    results = Results(store, Limits())
    arms = itertools.cycle(range(MEDIUM_ARMS))

    async def evals() -> None:
        arm = next(arms)
        request = EvalRequest.FromString(eval_request(MEDIUM, arm))
        check_eval(arm, await results.eval(request))

    async def scores() -> None:
        arm = next(arms)
        check_score(arm, await results.score(ScoreRequest.FromString(score_request(MEDIUM, arm))))

    async def rank() -> None:
        check_rank(MEDIUM_ARMS, await results.rank(RankRequest.FromString(rank_request(MEDIUM))))

    async def rank_groups() -> None:
        await results.rank(RankRequest.FromString(rank_request(MEDIUM, by_group=True)))

    async def matrix() -> None:
        answer = await results.scores(ScoresRequest.FromString(scores_request()))
        check_scores(answer.SerializeToString())

    return {
        "Eval": evals,
        "Score": scores,
        "Rank, 10 of 1,000 arms": rank,
        "Rank by group, 1,000 arms": rank_groups,
        "Scores, 300 arms x 31": matrix,
    }


async def _write_calls(folder: Path) -> dict[str, float]:
    """Returns how many functions the server calls to record a row, in calls of 1 and 100 rows."""
    called = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal called
        called += event in ("call", "c_call")

    threading.setprofile(count)  # of the threads that the store starts
    store = SqliteStore(folder / "writes.db")
    await store.open()
    threading.setprofile(None)
    recording = Recording(store, Limits())
    for call in start_arms("bench/guard", 2):
        await recording.record(call)
    found = {}
    for writer, rows in enumerate((1, 100)):
        requests = list(itertools.islice(row_calls("bench/guard", writer, rows), _WRITES))
        called = 0
        sys.setprofile(count)
        for request in requests:
            await recording.record(RecordRequest.FromString(request))
        sys.setprofile(None)
        found[_WRITE.format(rows)] = round(called / _WRITES / rows, 1)
    await store.close()
    return found


@contextmanager
def _logging(folder: Path) -> Iterator[Operation]:
    """Yields `log_eval` of a training that records into a folder, without a server."""
    os.environ |= {"PODIUM_OUTBOX": str(folder / "outbox"), "PODIUM_OFFLINE": "1"}
    steps = itertools.count()
    with (
        podium.record("bench", close_timeout=0, strict=True) as experiment,
        experiment.start_arm(podium.RunConfig("arm")) as arm,
    ):

        async def log() -> None:
            step = next(steps)
            metrics = {"pass_rate": step / 7, "loss": 1 / (step + 1)}
            arm.log_eval("val", metrics, step=step, tags=["val"])

        yield log


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
