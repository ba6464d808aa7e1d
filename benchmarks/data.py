"""What the benchmarks store and ask: made by rule, so that every answer can be checked."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

from podium._validate import Limits
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
    ScoreRequest,
    ScoreResponse,
)
from podium.v1.run_config_pb2 import RunConfig
from podium_server.services import Recording
from podium_server.store.sqlite import SqliteStore

__all__ = [
    "LARGE",
    "LARGE_ARMS",
    "MEDIUM",
    "MEDIUM_ARMS",
    "ROWS_PER_ARM",
    "SMALL",
    "SMALL_ARMS",
    "check_eval",
    "check_score",
    "eval_request",
    "fill",
    "row_calls",
    "score_request",
    "start_arms",
]

SMALL, MEDIUM, LARGE = "bench/small", "bench/medium", "bench/large"
SMALL_ARMS, MEDIUM_ARMS, LARGE_ARMS, ROWS_PER_ARM = 100, 1_000, 100_000, 10
_ARMS_PER_CALL = 100


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
    )


def _fill_calls(experiment: str, arms: int) -> Iterator[RecordRequest]:
    declared = Event(experiment_declared=ExperimentDeclared(success_metric="test.pass_rate"))
    yield RecordRequest(experiment=experiment, events=[declared])
    for first in range(0, arms, _ARMS_PER_CALL):
        events = [
            Event(arm_recorded=ArmRecorded(arm_result=_arm(arm)))
            for arm in range(first, min(arms, first + _ARMS_PER_CALL))
        ]
        yield RecordRequest(experiment=experiment, events=events)


async def _fill(path: Path, experiments: dict[str, int]) -> None:
    store = SqliteStore(path)
    await store.open()
    recording = Recording(store, Limits())
    for experiment, arms in experiments.items():
        for number, call in enumerate(_fill_calls(experiment, arms)):
            await recording.record(call)
            if number % 50 == 0 and arms > _ARMS_PER_CALL:
                done = number * _ARMS_PER_CALL
                sys.stderr.write(f"\r{experiment}: {done:,} of {arms:,} arms")
    sys.stderr.write("\r" + " " * 60 + "\r")
    await store.close()


def fill(path: Path) -> None:
    """Makes a store with smaller experiments and one of 1,000,000 rows."""
    asyncio.run(_fill(path, {SMALL: SMALL_ARMS, MEDIUM: MEDIUM_ARMS, LARGE: LARGE_ARMS}))


def eval_request(experiment: str, arm: int) -> bytes:
    """Asks for the latest `val` row of an arm."""
    request = EvalRequest(experiment=experiment, arm=f"arm{arm}", name="val")
    return request.SerializeToString()


def score_request(experiment: str, arm: int) -> bytes:
    """Asks for the test score of an arm."""
    request = ScoreRequest(experiment=experiment, arm=f"arm{arm}", metric="test.pass_rate")
    return request.SerializeToString()


def check_eval(arm: int, answer: bytes) -> None:
    """Fails on an answer to `eval_request` that is not right."""
    row = EvalResponse.FromString(answer).eval_result
    last = ROWS_PER_ARM - 2
    if (row.step, dict(row.metrics)) != (10 * last, _metrics(arm, last)):
        raise RuntimeError(f"a wrong answer for arm {arm}: {row}")


def check_score(arm: int, answer: bytes) -> None:
    """Fails on an answer to `score_request` that is not right."""
    score = ScoreResponse.FromString(answer)
    if not score.HasField("value") or score.value != arm + ROWS_PER_ARM / 16:
        raise RuntimeError(f"a wrong answer for arm {arm}: {score}")


def start_arms(experiment: str, writers: int) -> Iterator[RecordRequest]:
    """Declares an experiment and starts an arm for each writer."""
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
    """The calls of one writer, each with so many new rows, as one stream of events."""
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
