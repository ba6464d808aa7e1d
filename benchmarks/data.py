"""The rows and requests of the benchmarks. Formulas give all values, so answers can be checked."""

import asyncio
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from podium._limits.limits import Limits
from podium.v1.arm_result_pb2 import ARM_STATUS_COMPLETED, ArmResult, Attempt
from podium.v1.eval_result_pb2 import EvalResult
from podium.v1.event_pb2 import (
    ArmRecorded,
    ArmStarted,
    EvalRecorded,
    Event,
    ExperimentDeclared,
)
from podium.v1.recording_service_pb2 import RecordRequest, StreamPosition
from podium.v1.results_service_pb2 import (
    EvalRequest,
    EvalResponse,
    RankRequest,
    RankResponse,
    ScoreRequest,
    ScoreResponse,
    ScoresRequest,
    ScoresResponse,
)
from podium.v1.run_config_pb2 import RunConfig
from podium_server.api.callers import CALLER, EVERYONE
from podium_server.api.recording import Recording
from podium_server.store.sqlite import SqliteStore

__all__ = [
    "LARGE",
    "LARGE_ARMS",
    "MATRIX",
    "MATRIX_ARMS",
    "MATRIX_METRICS",
    "MEDIUM",
    "MEDIUM_ARMS",
    "ROWS_PER_ARM",
    "SMALL",
    "SMALL_ARMS",
    "check_eval",
    "check_rank",
    "check_score",
    "check_scores",
    "eval_request",
    "fill",
    "fill_experiments",
    "rank_request",
    "row_calls",
    "score_request",
    "scores_request",
    "start_arms",
]

SMALL, MEDIUM, LARGE = "bench/small", "bench/medium", "bench/large"
SMALL_ARMS, MEDIUM_ARMS, LARGE_ARMS, ROWS_PER_ARM = 100, 1_000, 100_000, 10
MATRIX, MATRIX_ARMS = "bench/matrix", 300
MATRIX_METRICS = tuple(f"bench{number}.pass_rate" for number in range(31))
_ARMS_PER_CALL = 100
_GROUP_ARMS = 5
_TOP = 10


def _metrics(arm: int, row: int) -> dict[str, float]:
    return {"pass_rate": arm + row / 16, "loss": 1 / (1 + arm), "tokens": 1000.0 * row}


def _arm(arm: int) -> ArmResult:
    rows = [
        EvalResult(name="val", step=10 * row, metrics=_metrics(arm, row), tags=["val"])
        for row in range(ROWS_PER_ARM - 1)
    ]
    test = EvalResult(name="test", metrics=_metrics(arm, ROWS_PER_ARM), tags=["test"])
    return ArmResult(
        name=f"arm{arm}",
        run_config=RunConfig(name=f"arm{arm}", seed=arm),
        status=ARM_STATUS_COMPLETED,
        metrics={"train.loss": 1 / (1 + arm)},
        evals=[*rows, test],
        group_name=f"group{arm // _GROUP_ARMS}",
    )


def _matrix_arm(arm: int) -> ArmResult:
    names = [metric.partition(".")[0] for metric in MATRIX_METRICS]
    rows = [
        EvalResult(name=name, metrics=_metrics(arm, number)) for number, name in enumerate(names)
    ]
    return ArmResult(
        name=f"arm{arm}",
        run_config=RunConfig(name=f"arm{arm}", seed=arm),
        status=ARM_STATUS_COMPLETED,
        evals=rows,
    )


def _fill_calls(
    experiment: str, arms: int, made: Callable[[int], ArmResult]
) -> Iterator[RecordRequest]:
    declared = Event(experiment_declared=ExperimentDeclared(success_metric="test.pass_rate"))
    yield RecordRequest(experiment=experiment, events=[declared])
    for first in range(0, arms, _ARMS_PER_CALL):
        events = [
            Event(arm_recorded=ArmRecorded(arm_result=made(arm)))
            for arm in range(first, min(arms, first + _ARMS_PER_CALL))
        ]
        yield RecordRequest(experiment=experiment, events=events)


async def fill_experiments(path: Path, experiments: dict[str, int]) -> None:
    """Fills a new store with experiments.

    `experiments` maps the name of each experiment to its number of arms.
    """
    store = SqliteStore(path)
    await store.open()
    CALLER.set(EVERYONE)
    recording = Recording(store, Limits())
    for experiment, arms in experiments.items():
        made = _matrix_arm if experiment == MATRIX else _arm
        for number, call in enumerate(_fill_calls(experiment, arms, made)):
            await recording.record(call)
            if number % 50 == 0 and arms > _ARMS_PER_CALL:
                done = number * _ARMS_PER_CALL
                sys.stderr.write(f"\r{experiment}: {done:,} of {arms:,} arms")
    sys.stderr.write("\r" + " " * 60 + "\r")
    await store.close()


def fill(path: Path) -> None:
    """Makes a store with an experiment of 1,000,000 rows and some smaller experiments."""
    sizes = {SMALL: SMALL_ARMS, MEDIUM: MEDIUM_ARMS, MATRIX: MATRIX_ARMS, LARGE: LARGE_ARMS}
    asyncio.run(fill_experiments(path, sizes))


def eval_request(experiment: str, arm: int) -> bytes:
    """Returns a request for the `val` row of an arm with the greatest step."""
    request = EvalRequest(experiment=experiment, arm=f"arm{arm}", name="val")
    return request.SerializeToString()


def score_request(experiment: str, arm: int) -> bytes:
    """Returns a request for the test score of an arm."""
    request = ScoreRequest(experiment=experiment, arm=f"arm{arm}", metric="test.pass_rate")
    return request.SerializeToString()


def check_eval(arm: int, answer: bytes) -> None:
    """Raises a RuntimeError if a response to `eval_request` is wrong."""
    row = EvalResponse.FromString(answer).eval_result
    last = ROWS_PER_ARM - 2
    if (row.step, dict(row.metrics)) != (10 * last, _metrics(arm, last)):
        raise RuntimeError(f"a wrong answer for arm {arm}: {row}")


def check_score(arm: int, answer: bytes) -> None:
    """Raises a RuntimeError if a response to `score_request` is wrong."""
    score = ScoreResponse.FromString(answer)
    if not score.HasField("value") or score.value != arm + ROWS_PER_ARM / 16:
        raise RuntimeError(f"a wrong answer for arm {arm}: {score}")


def rank_request(experiment: str, *, by_group: bool = False) -> bytes:
    """Returns a request for the first 10 arms or groups of an experiment by its success metric."""
    request = RankRequest(experiment=experiment, page_size=_TOP, by_group=by_group)
    return request.SerializeToString()


def check_rank(arms: int, answer: bytes) -> None:
    """Raises a RuntimeError if a response to `rank_request` without `by_group` is wrong."""
    found = RankResponse.FromString(answer)
    best = [(f"arm{arms - 1 - place}", place + 1) for place in range(_TOP)]
    if [(arm.arm, arm.rank) for arm in found.arms] != best or found.counts.numbers != arms:
        raise RuntimeError(f"a wrong ranking of {arms} arms: {found}")


def scores_request() -> bytes:
    """Returns a request for every score of the experiment `MATRIX`."""
    request = ScoresRequest(experiment=MATRIX, metrics=MATRIX_METRICS, page_size=MATRIX_ARMS)
    return request.SerializeToString()


def check_scores(answer: bytes) -> None:
    """Raises a RuntimeError if a response to `scores_request` is wrong."""
    found = ScoresResponse.FromString(answer)
    if len(found.arms) != MATRIX_ARMS or found.next_page_token:
        raise RuntimeError(f"a matrix of {len(found.arms)} arms in the first page")
    for number, column in enumerate(found.columns):
        if list(column.values) != [arm + number / 16 for arm in range(MATRIX_ARMS)]:
            raise RuntimeError(f"a wrong column: {column}")


def start_arms(experiment: str, writers: int) -> Iterator[RecordRequest]:
    """Yields requests that declare an experiment and start an arm for each writer."""
    declared = Event(experiment_declared=ExperimentDeclared())
    yield RecordRequest(experiment=experiment, events=[declared])
    for writer in range(writers):
        started = ArmStarted(
            arm=f"arm{writer}",
            run_config=RunConfig(name=f"arm{writer}"),
            attempt=Attempt(id="first", order=1),
        )
        yield RecordRequest(experiment=experiment, events=[Event(arm_started=started)])


def row_calls(experiment: str, writer: int, rows: int) -> Iterator[bytes]:
    """Yields requests of one writer without end.

    Each request has the next `rows` rows of the writer's stream.
    """
    sequence = 1
    while True:
        events = [
            Event(
                eval_recorded=EvalRecorded(
                    arm=f"arm{writer}",
                    attempt_id="first",
                    eval_result=EvalResult(
                        name="val", step=step, metrics=_metrics(writer, step), tags=["val"]
                    ),
                )
            )
            for step in range(sequence, sequence + rows)
        ]
        position = StreamPosition(writer_id=f"writer{writer}", first_sequence=sequence)
        request = RecordRequest(experiment=experiment, events=events, position=position)
        yield request.SerializeToString()
        sequence += rows
