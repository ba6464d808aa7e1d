"""Compares the costs of the frequent operations with the baseline benchmarks/guard.json.

    make bench-guard                         fails if an operation costs 15 % more than the baseline
    python benchmarks/guard.py --update      writes the baseline, after an intended change

The cost of an operation is the number of functions that it calls in this process, in Python and in
libraries. It is the same on every machine, at any load. Times are not, even relative to similar
work in the same run: between a quiet and a busy machine, this relative CPU time differed by 40 %
for a ranking, and by 100 % for `log_eval`. `make bench` prints times, without a limit. Work of
SQLite within a statement is not counted.
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
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

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
_COUNTED = 50

Operation = Callable[[], Awaitable[None]]


async def main() -> int:
    """Prints the counts of function calls and the baseline. Returns 1 if a count is too high."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--update", action="store_true", help="write the baseline")
    update = parser.parse_args().update
    with tempfile.TemporaryDirectory() as folder:
        counts = await _counts(Path(folder))
    if update:
        _BASELINE.write_text(json.dumps(counts, indent=2) + "\n")
        return 0
    baseline: dict[str, float] = json.loads(_BASELINE.read_text())
    if baseline.keys() != counts.keys():
        sys.exit(f"{_BASELINE.name} lists other operations: run benchmarks/guard.py --update")
    print(f"function calls, Python {platform.python_version()}")
    for name, count in counts.items():
        change = count / baseline[name]
        verdict = "" if change <= _ALLOWED else f"  FAILED: more than {_ALLOWED - 1:.0%} above"
        print(
            f"{name:26}{count:9,.0f}  baseline {baseline[name]:,.0f} ({change - 1:+.0%}){verdict}"
        )
    return int(any(counts[name] > _ALLOWED * baseline[name] for name in counts))


async def _counts(folder: Path) -> dict[str, float]:
    """Returns the number of function calls of each operation, in all threads of this process."""
    called = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal called
        called += event in ("call", "c_call")

    async def counted(operation: Operation) -> float:
        nonlocal called
        await operation()  # the first one fills caches
        called = 0
        sys.setprofile(count)
        for _ in range(_COUNTED):
            await operation()
        sys.setprofile(None)
        return round(called / _COUNTED, 1)

    path = folder / "podium.db"
    await fill_experiments(path, {MEDIUM: MEDIUM_ARMS, MATRIX: MATRIX_ARMS})
    threading.setprofile(count)  # for the threads that the store starts
    store = SqliteStore(path)
    await store.open()
    CALLER.set(EVERYONE)
    operations = _reads(store) | await _writes(store)
    found = {name: await counted(operation) for name, operation in operations.items()}
    await store.close()
    threading.setprofile(None)
    with _logging(folder) as log:
        found["log_eval of a trainer"] = await counted(log)
    return found


def _reads(store: SqliteStore) -> dict[str, Operation]:
    """Returns the reads by name. All but the ranking by group check their answers."""
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
        check_scores(await results.scores(ScoresRequest.FromString(scores_request())))

    return {
        "Eval": evals,
        "Score": scores,
        "Rank, 10 of 1,000 arms": rank,
        "Rank by group, 1,000 arms": rank_groups,
        "Scores, 300 arms x 31": matrix,
    }


async def _writes(store: SqliteStore) -> dict[str, Operation]:
    """Returns the writes by name: calls that record one row, and a hundred rows."""
    recording = Recording(store, Limits())
    for call in start_arms("bench/guard", 2):
        await recording.record(call)

    def of(writer: int, rows: int) -> Operation:
        calls = iter(list(itertools.islice(row_calls("bench/guard", writer, rows), _COUNTED + 1)))

        async def record() -> None:
            await recording.record(RecordRequest.FromString(next(calls)))

        return record

    return {"Record, 1 row": of(0, 1), "Record, 100 rows": of(1, 100)}


@contextmanager
def _logging(folder: Path) -> Iterator[Operation]:
    """Yields an operation that calls `log_eval` as a training run does, without a server."""
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
