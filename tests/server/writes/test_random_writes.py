"""Tests that all answers to random calls are those of the naive rules."""

import asyncio
import os
import struct
from collections import Counter
from random import Random
from typing import Any

import podium
import pytest
from google.protobuf.message import Message
from podium.errors import PodiumError
from podium.v1 import arm_result_pb2
from podium.v1.recording_service_pb2 import (
    DeleteArmRequest,
    DeleteArmResponse,
    DeleteExperimentRequest,
    DeleteExperimentResponse,
    RecordRequest,
    RecordResponse,
)
from podium.v1.results_service_pb2 import (
    EvalRequest,
    GetArmRequest,
    GetExperimentRequest,
    ListArmsRequest,
    ListSeriesRequest,
    ScoreRequest,
)

from tests.messages import score_response
from tests.server.ranking.asking import ask_arms, ask_groups
from tests.server.ranking.holding import hold_arms, hold_groups
from tests.server.writes import naive
from tests.server.writes.conftest import MakeWire
from tests.server.writes.naive_state import (
    Arm,
    Experiment,
    NaiveError,
    encoded,
    moment,
)
from tests.server.writes.plain import plain
from tests.server.writes.random_calls import KEYS, NAMES, STEPS, random_call, reason_if_invalid
from tests.server.writes.ways import Way
from tests.sparse import sparse
from tests.unit.scoring.bruteforce import eval_answer, score_answer

SEEDS = sparse(range(int(os.environ.get("PODIUM_WRITE_SEEDS", "10"))), 5)
"""The seeds of the random histories. More seeds find rarer defects."""

_CALLS = 150
_LOOK_EVERY = 25


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
async def test_one_after_the_other(direct: Way, experiment: str, seed: int) -> None:
    """If calls are made one by one, all answers and reads are those of the naive rules."""
    rng, model = Random(seed), Experiment()  # noqa: S311 - the same calls every time
    for number in range(_CALLS):
        request = random_call(rng, model, experiment)
        expected = _naively(model, request)
        found = await _really(direct, request)
        assert found == expected, f"seed {seed}, call {number}: {request}"
        if number % _LOOK_EVERY == _LOOK_EVERY - 1:
            await _look(direct, model, experiment)


@pytest.mark.parametrize("seed", SEEDS)
async def test_many_at_once(direct: Way, experiment: str, seed: int) -> None:
    """Ten concurrent calls get the answers that the naive rules give to the calls one by one."""
    rng, model = Random(-seed - 1), Experiment()  # noqa: S311 - the same calls every time
    for _ in range(_CALLS // 10):
        before = model
        requests = [random_call(rng, before, experiment) for _ in range(10)]
        expected = [_naively(model, request) for request in requests]
        found = await asyncio.gather(*(_really(direct, request) for request in requests))
        assert found == expected, f"seed {seed}: {requests}"
    await _look(direct, model, experiment)


@pytest.mark.slow
async def test_over_the_wire(wire: MakeWire, experiment: str) -> None:
    """All answers and reads of a running server are those of the naive rules."""
    rng, model, way = Random(1), Experiment(), wire({})  # noqa: S311 - the same calls every time
    for _ in range(_CALLS):
        request = random_call(rng, model, experiment)
        assert await _really(way, request) == _naively(model, request), request
    await _look(way, model, experiment)


@pytest.mark.slow
def test_random_calls_are_worth_making() -> None:
    """The random calls cause each error of `reasons`, and most kinds of answers, several times.

    A call replaces an attempt at least once.
    """
    seen: Counter[str] = Counter()
    for seed in range(10):
        rng, model = Random(seed), Experiment()  # noqa: S311 - the same calls every time
        for _ in range(_CALLS):
            match _naively(model, random_call(rng, model, "x")):
                case (reason, events) if isinstance(reason, str):
                    seen.update([reason, *events.values()])
                case answer:
                    seen["answered"] += 1
                    seen["changed"] += "changed_events" in str(answer)
                    seen["skipped"] += "skipped_events" in str(answer)
                    seen["kept"] += "kept_fields" in str(answer)
                    seen["replaced"] += "replaced_attempts" in str(answer)
    reasons = {
        "ARM_DELETED", "ARM_FINISHED", "ARM_HAS_ATTEMPTS", "ARM_NOT_FOUND", "EVENT_NEEDS_ATTEMPT",
        "EXPERIMENT_DELETED", "EXPERIMENT_NOT_FOUND", "FIELD_MISSING", "FIELD_OUT_OF_RANGE",
        "MODEL_REF_CHANGED", "NAME_INVALID", "RUN_CONFIG_CHANGED",
        "SEQUENCE_GAP", "STALE_ATTEMPT", "STREAM_SUBJECT_CHANGED",
    }  # fmt: skip
    assert seen.pop("replaced") >= 1
    assert seen.keys() >= reasons | {"answered", "changed", "skipped", "kept"}
    assert min(seen.values()) >= 5, seen


# ---- Calls, both ways ----------------------------------------------------------------------


def _naively(model: Experiment, request: Message) -> Any:
    try:
        return _naive_answer(model, request)
    except NaiveError as error:
        return error.reason, error.events


def _naive_answer(model: Experiment, request: Message) -> Message:
    match request:
        case DeleteArmRequest():
            revision = naive.delete_arm(model, request.arm, allow_missing=request.allow_missing)
            return DeleteArmResponse(revision=revision)
        case DeleteExperimentRequest():
            revision = naive.delete_experiment(model, allow_missing=request.allow_missing)
            return DeleteExperimentResponse(revision=revision)
        case RecordRequest():
            reasons = {i: reason_if_invalid(event) for i, event in enumerate(request.events)}
            return _response(
                naive.record(model, request, {i: why for i, why in reasons.items() if why})
            )
    raise AssertionError(request)


def _response(outcome: naive.Outcome) -> RecordResponse:
    response = RecordResponse(
        revision=outcome.revision,
        changed_events=outcome.changed,
        skipped_events=outcome.skipped,
        last_sequence=outcome.last,
    )
    for index, path in outcome.kept:
        response.kept_fields.add(event_index=index, path=path)
    response.replaced_attempts.extend(outcome.replaced)
    return response


async def _really(way: Way, request: Message) -> Any:
    method = type(request).__name__.removesuffix("Request")
    try:
        return await way.call(method, request)
    except PodiumError as error:
        return error.reason, {refused.index: refused.reason for refused in error.refusals}


# ---- Reads ---------------------------------------------------------------------------------


async def _look(way: Way, model: Experiment, name: str) -> None:
    """Compares everything that can be read of an experiment with the model."""
    if not model.alive:
        with pytest.raises(podium.NotFoundError):
            await way.call("GetExperiment", GetExperimentRequest(experiment=name))
        return
    found: Any = await way.call("GetExperiment", GetExperimentRequest(experiment=name))
    counts = Counter(arm.status for arm in model.arms)
    assert found.experiment.revision == model.revision
    assert [count for _, count in _counts(found.experiment)] == [counts[n] for n in range(1, 6)]
    for field, value in model.said.ListFields():
        assert getattr(found.experiment, field.name) == value
    listed: Any = await way.call("ListArms", ListArmsRequest(experiment=name))
    assert [arm.name for arm in listed.arms] == [arm.name for arm in model.arms]
    assert [arm.eval_count for arm in listed.arms] == [len(arm.rows) for arm in model.arms]
    assert listed.revision == model.revision
    for arm in model.arms:
        await _look_at_arm(way, name, arm)
    await _look_at_rankings(way, name, list(map(plain, model.arms)))


async def _look_at_rankings(way: Way, name: str, arms: list[podium.ArmResult]) -> None:
    """Checks rankings by each metric that the arms could have, in pages of different sizes."""
    metrics = [*KEYS, *(f"{n}.{k}" for n in NAMES for k in KEYS)]
    for size, metric in enumerate(metrics):
        for direction in ("maximize", "minimize"):
            for statuses in ({"completed"}, {"completed", "failed", "running"}):
                asked = (way, name, metric, direction, statuses)
                hold_arms(await ask_arms(*asked, page_size=size % 3), arms, statuses)
                groups = await ask_groups(*asked, least=size % 2, page_size=size % 3)
                hold_groups(groups, arms, statuses, size % 2)


def _counts(experiment: Any) -> list[tuple[str, int]]:
    counts = experiment.arm_counts
    return [(field.name, getattr(counts, field.name)) for field in counts.DESCRIPTOR.fields]


async def _look_at_arm(way: Way, name: str, arm: Arm) -> None:
    response: Any = await way.call("GetArm", GetArmRequest(experiment=name, arm=arm.name))
    found: arm_result_pb2.ArmResult = response.arm_result
    assert found.revision == arm.revision
    assert found.status == arm.status
    assert encoded(found.run_config) == encoded(arm.config)
    assert _bits(found.metrics) == _bits(arm.metrics)
    assert [_row(row) for row in found.evals] == [
        (encoded(row.said), moment(row.event_time), row.revision) for row in arm.rows
    ]
    assert found.HasField("attempt") == (arm.attempt is not None)
    assert (found.attempt.id, found.attempt.order) == (arm.attempt or ("", 0))
    _look_at_facts(found, arm)
    await _look_at_series(way, name, arm)
    await _ask(way, name, arm)


async def _look_at_series(way: Way, name: str, arm: Arm) -> None:
    found: Any = await way.call("ListSeries", ListSeriesRequest(experiment=name, arm=arm.name))
    for series in found.series:
        assert list(series.steps) == sorted(set(series.steps))
    points = {
        (series.key, step): struct.pack("<d", value)
        for series in found.series
        for step, value in zip(series.steps, series.values, strict=True)
    }
    assert points == {at: struct.pack("<d", value) for at, value in arm.series.items()}


def _row(row: Any) -> Any:
    """Returns a row as it was recorded, its event time, and its revision."""
    time = moment(row.event_time if row.HasField("event_time") else None)
    revision = row.revision
    for output in ("revision", "event_time", "record_time"):
        row.ClearField(output)
    return encoded(row), time, revision


_FACTS: tuple[Any, ...] = (
    "run_id", "error", "train_seconds", "run_result", "group_id", "group_name", "provenance",
)  # fmt: skip


def _look_at_facts(found: arm_result_pb2.ArmResult, arm: Arm) -> None:
    for name in _FACTS:
        reported = getattr(found, name) if found.HasField(name) else None
        assert reported == arm.facts.get(name), name
    assert list(found.tags) == arm.noted.applied_to(arm.config.tags)
    noted = found.annotations
    assert (noted.notes if noted.HasField("notes") else None) == arm.noted.text
    assert set(noted.added_tags) == {tag for tag, added in arm.noted.tags.items() if added}
    assert set(noted.removed_tags) == {tag for tag, added in arm.noted.tags.items() if not added}


async def _ask(way: Way, name: str, arm: Arm) -> None:
    """Checks each eval row and each score that an arm could have, with the naive rules of reads."""
    as_built = plain(arm)
    for eval_name in NAMES:
        for step in dict.fromkeys(STEPS):
            request = EvalRequest(experiment=name, arm=arm.name, name=eval_name, step=step)
            found: Any = await way.call("Eval", request)
            expected = eval_answer(as_built, eval_name, step)
            assert found.HasField("eval_result") == (expected is not None)
            if expected is not None:
                assert _bits(found.eval_result.metrics) == _bits(expected.metrics)
                assert (found.eval_result.name, expected.step) == (eval_name, expected.step)
    for metric in [*KEYS, *(f"{n}.{k}" for n in NAMES for k in KEYS)]:
        answer = score_answer(as_built, metric)
        response = await way.call(
            "Score", ScoreRequest(experiment=name, arm=arm.name, metric=metric)
        )
        assert repr(response) == repr(score_response(answer)), (arm, metric)


def _bits(metrics: Any) -> dict[str, bytes]:
    return {key: struct.pack("<d", value) for key, value in metrics.items()}
