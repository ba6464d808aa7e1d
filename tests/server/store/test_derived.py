"""Tests that the derived rows of a store, such as scores, are correct after random writes."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from math import isnan
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from podium import scoring
from podium._limits.limits import Limits
from podium.errors import PodiumError
from podium.v1.arm_result_pb2 import ArmResult
from podium.v1.eval_result_pb2 import EvalResult
from podium_server.store.rows import (
    COMPLETED,
    SERIES_PART,
    VALUES_PART,
    ArmRow,
    EvalRow,
    Origin,
    ScoreRow,
)
from podium_server.store.sql import codec

from tests.server.store.places import Dump, new_place, opened
from tests.server.writes import naive
from tests.server.writes.naive_state import Experiment, NaiveError
from tests.server.writes.random_calls import random_call, reason_if_invalid
from tests.server.writes.ways import Direct

_CALLS = 100


@pytest.mark.parametrize("seed", range(6))
async def test_derived_rows(seed: int, tmp_path: Any) -> None:
    """After random calls, the stored scores, primary evals, counts and sizes match the rows."""
    place, rng, model = new_place(tmp_path), Random(seed), Experiment()  # noqa: S311 - the same calls every time
    async with opened(place) as store:
        way = Direct(store, Limits())
        for number in range(_CALLS):
            request = random_call(rng, model, "x")
            try:
                await way.call(type(request).__name__.removesuffix("Request"), request)
            except PodiumError:
                continue
            follow(model, request)
            if number % 5 == 0:
                check_derived(place.dump())
    check_derived(place.dump())


def follow(model: Experiment, request: Any) -> None:
    """Applies a request to the naive model, so that later random calls fit the store."""
    try:
        match type(request).__name__:
            case "RecordRequest":
                bad = {i: reason_if_invalid(event) for i, event in enumerate(request.events)}
                naive.record(model, request, {i: why for i, why in bad.items() if why})
            case "DeleteArmRequest":
                naive.delete_arm(model, request.arm, allow_missing=True)
            case _:
                naive.delete_experiment(model, allow_missing=True)
    except NaiveError as error:
        raise AssertionError(request) from error


_ARM_TABLE = (
    "ordinal, name, status, revision, created, updated, group_name, tags, attempt_id, "
    "attempt_order, next_position, eval_count, primary_name, primary_step, primary_class, "
    "primary_position, part_bytes, digest, config_digest, last_heard, moved"
)
_EXPERIMENT_TABLE = (
    "id, name, deleted, revision, deletion, next_ordinal, created, updated, "
    "pending, running, completed, failed, cancelled, tags, row_count"
)


def _ordered(table: str, values: Sequence[Any], columns: str) -> list[Any]:
    """Returns the values of a row in the order of `columns`. `table` has the order of `values`."""
    by_name = dict(zip(table.split(", "), values, strict=True))
    return [by_name[name] for name in columns.split(", ")]


def check_derived(dump: Dump) -> None:
    """Asserts that all derived rows and values of a dump follow from its other rows."""
    arms = {
        values[:2]: codec.arm_from(_ordered(_ARM_TABLE, values[1:], codec.ARM_COLUMNS))
        for values in dump["arms"]
    }
    rows: dict[Any, list[EvalRow]] = defaultdict(list)
    for values in dump["evals"]:
        rows[values[:2]].append(codec.eval_from(values[2:]))
    parts: dict[Any, dict[str, bytes]] = defaultdict(dict)
    for experiment, ordinal, part, content in dump["arm_parts"]:
        parts[experiment, ordinal][part] = content
    assert rows.keys() | parts.keys() <= arms.keys()
    assert set(dump["scores"]) == {
        (*place, *score)
        for place, arm in arms.items()
        for score in _expected_scores(_message(arm, parts[place], rows[place]))
    }
    for place, arm in arms.items():
        _check_arm(arm, parts[place], rows[place])
    _check_counts(dump, arms)
    _check_ranks(dump, arms)


def _check_ranks(dump: Dump, arms: dict[Any, ArmRow]) -> None:
    """Asserts that the index of rankings has the scores of completed arms, and no others."""
    ranked, counted = set(), Counter[Any]()
    for experiment, ordinal, name, key, *score in dump["scores"]:
        arm, entry = arms[experiment, ordinal], codec.score_from(*score)
        if arm.status != COMPLETED:
            continue
        ranked.add((experiment, name, key, scoring.sort_key(entry.value), ordinal))
        source = (
            (name or (arm.primary and arm.primary.name)) if codec.is_of_row(entry.origin) else ""
        )
        place = (experiment, name, key, entry.origin, source, entry.benchmark_id or "")
        counted[*place, isnan(entry.value)] += 1
    assert set(dump["ranks"]) == ranked
    changed: dict[Any, Any] = dict(dump["rank_changes"])
    for (experiment, _), arm in arms.items():
        assert arm.status != COMPLETED or arm.revision <= changed[experiment]
    counts = {values[:6]: values[6:] for values in dump["rank_counts"]}
    assert counts == {
        place: (counted[*place, False], counted[*place, True])
        for *place, _ in counted
        for place in [tuple(place)]
    }


def _check_arm(arm: ArmRow, parts: dict[str, bytes], rows: list[EvalRow]) -> None:
    rows.sort(key=lambda row: row.position)
    assert arm.eval_count == len(rows)
    # The limits do not count the index of the configuration and the changes of the series.
    counted = parts.keys() - {VALUES_PART, SERIES_PART}
    assert arm.part_bytes == sum(len(parts[name]) for name in counted)
    assert arm.next_position > max((row.position for row in rows), default=-1)
    assert arm.revision >= max((row.revision for row in rows), default=0)
    primary = scoring.primary(map(_plain, rows))
    assert arm.primary == (None if primary is None else (primary.name, primary.step))
    if primary is not None:
        [row] = [row for row in rows if row.key == arm.primary]
        assert (arm.primary_class, arm.primary_position) == (row.primary_class, row.position)
    for row in rows:
        content = EvalResult.FromString(row.content)
        step = content.step if content.HasField("step") else None
        model_ref = content.model_ref if content.HasField("model_ref") else None
        assert (content.name, step, model_ref) == (*row.key, row.model_ref)
        assert row.primary_class == scoring.primary_class(step, content.tags, model_ref)
        assert EvalResult.FromString(row.stamp).revision == row.revision


def _check_counts(dump: Dump, arms: dict[Any, ArmRow]) -> None:
    steps = Counter(values[0] for values in dump["points"])
    for values in dump["experiments"]:
        columns = _ordered(_EXPERIMENT_TABLE, values, codec.EXPERIMENT_COLUMNS)
        experiment = codec.experiment_from(columns)
        here = [arm for place, arm in arms.items() if place[0] == experiment.id]
        counts = Counter(arm.status for arm in here)
        assert experiment.counts == tuple(counts[status] for status in range(6))
        assert experiment.next_ordinal > max((arm.ordinal for arm in here), default=-1)
        assert experiment.revision >= max((arm.revision for arm in here), default=0)
        assert not (experiment.deleted and here)
        rows = sum(1 + arm.eval_count for arm in here) + steps[experiment.id]
        assert experiment.row_count == (0 if experiment.deleted else 1 + rows)


def _plain(row: EvalRow) -> Any:
    content = EvalResult.FromString(row.content)
    return SimpleNamespace(
        name=row.key.name,
        step=row.key.step,
        tags=list(content.tags),
        metrics=dict(content.metrics),
        model_ref=row.model_ref,
        benchmark_id=content.benchmark_id if content.HasField("benchmark_id") else None,
    )


def _message(arm: ArmRow, parts: dict[str, bytes], rows: list[EvalRow]) -> Any:
    """Returns an object with those fields of a stored arm on which its scores depend."""
    given = ArmResult.FromString(parts.get("given", b"")) if not arm.eval_count else ArmResult()
    return SimpleNamespace(
        evals=[_plain(row) for row in sorted(rows, key=lambda row: row.position)],
        eval_metrics=dict(given.eval_metrics),
        metrics=dict(ArmResult.FromString(parts.get("metrics", b"")).metrics),
    )


def _expected_scores(arm: Any) -> set[Any]:
    """Returns every score that a read can ask for, by eval name ('' for none) and key."""
    found = _bare_scores(arm)
    for name in {row.name for row in arm.evals}:
        row = scoring.find_eval(arm.evals, name)
        assert row is not None
        found |= {(name, key): score for key, score in _row_scores(row).items()}
    return {(*place, *codec.score_values(score)) for place, score in found.items()}


def _bare_scores(arm: Any) -> dict[tuple[str, str], ScoreRow]:
    """Returns the scores that a read without an eval name can ask for.

    Metrics of the primary eval, or given eval metrics, take precedence over training metrics.
    """
    scores = {key: ScoreRow(value, Origin.TRAINING_METRICS) for key, value in arm.metrics.items()}
    for key, value in arm.eval_metrics.items():
        scores[key] = ScoreRow(value, Origin.GIVEN_EVAL_METRICS)
    primary = scoring.primary(arm.evals)
    scores |= {} if primary is None else _row_scores(primary)
    return {("", key): score for key, score in scores.items()}


def _row_scores(row: Any) -> dict[str, ScoreRow]:
    origin = Origin.POST_TRAINING_EVAL if row.step is None else Origin.IN_LOOP_EVAL
    return {
        key: ScoreRow(value, origin, row.step, row.benchmark_id)
        for key, value in row.metrics.items()
    }
