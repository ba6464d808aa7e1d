"""Tests of values, enums, times and scores: conversion keeps their types and bits."""

import datetime as dt
import math
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from podium._model import results
from podium._wire import codec
from podium.v1 import (
    arm_result_pb2,
    eval_result_pb2,
    experiment_pb2,
    results_service_pb2,
    score_pb2,
)
from podium.v1.value_pb2 import Value

from tests.each import each
from tests.unit.wire.exact import exact

_KINDS: dict[str, Any] = {
    "null_value": None,
    "bool_value": True,
    "int_value": 1,
    "double_value": 1.0,
    "string_value": "1",
    "list_value": [],
    "map_value": {},
}


def test_every_kind_of_value_has_its_python_type() -> None:
    """Each field of the oneof `kind` stands for exactly one Python type."""
    written = {codec.value_to_proto(value).WhichOneof("kind"): value for value in _KINDS.values()}
    assert exact(written) == exact(_KINDS)
    assert set(_KINDS) == {field.name for field in Value.DESCRIPTOR.oneofs_by_name["kind"].fields}


@each("number", [2**53 + 1, 2**63 - 1, -(2**63), 0, -1])
def test_integers_are_not_rounded(number: int) -> None:
    """An int that a double cannot hold is converted without rounding."""
    message = codec.value_to_proto({"seed": [number]})
    assert message.map_value.entries["seed"].list_value.values[0].int_value == number
    assert exact(codec.value_from_proto(message)) == exact({"seed": [number]})


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1])
def test_integers_beyond_64_bits_are_an_error(number: int) -> None:
    """An int of more than 64 bits raises a ValueError."""
    with pytest.raises(ValueError, match="64 bits"):
        codec.value_to_proto([number])


def test_bools_are_not_integers() -> None:
    """True is written as a bool, and 1 as an int."""
    assert codec.value_to_proto(True).bool_value is True  # noqa: FBT003 - the value itself
    assert codec.value_to_proto(1).WhichOneof("kind") == "int_value"


def test_a_value_of_a_newer_kind_is_none() -> None:
    """A Value whose kind this version does not know is read as None."""
    newer = Value.FromString(b"\xa2\x06\x01x")  # field 100
    assert codec.value_from_proto(newer) is None


def test_a_string_that_is_not_unicode_is_an_error() -> None:
    """A lone surrogate, which UTF-8 cannot encode, raises a ValueError."""
    with pytest.raises(ValueError, match="surrogate"):
        codec.value_to_proto("\ud800")


@each("status", list(results.ArmStatus))
def test_every_arm_status_has_a_number(status: results.ArmStatus) -> None:
    """Each status of the model has the same name in the proto."""
    number = codec.arm_status_to_proto(status.value)
    assert arm_result_pb2.ArmStatus.Name(number) == f"ARM_STATUS_{status.name}"
    assert codec.arm_status_from_proto(number) is status


def test_the_enums_have_no_more_members_in_the_protos() -> None:
    """The enums of the protos have as many members as those of the model, plus UNSPECIFIED."""
    assert len(arm_result_pb2.ArmStatus.items()) == len(results.ArmStatus) + 1
    assert len(experiment_pb2.Direction.items()) == len(results.Direction) + 1
    assert len(experiment_pb2.ExperimentStatus.items()) == len(results.ExperimentStatus) + 1
    assert len(score_pb2.ScoreOrigin.items()) == 4 + 1


def test_an_arm_with_a_status_of_a_newer_server_can_be_read() -> None:
    """An unknown status of an arm is read as a string that contains the number of the status.

    The arm cannot be converted to a message again.
    """
    message = arm_result_pb2.ArmResult.FromString(b"\x18\x2a")
    arm = codec.arm_result_from_proto(message)
    assert arm.status == "unknown(42)"
    with pytest.raises(ValueError, match=r"status must be one of pending, .*'unknown\(42\)'"):
        codec.arm_result_to_proto(arm)


def test_an_experiment_of_a_newer_server_can_be_read() -> None:
    """Unknown directions and statuses are read as strings. An unset direction is None."""
    message = experiment_pb2.Experiment.FromString(b"\x30\x2a\x38\x2b")
    experiment = codec.experiment_from_proto(message)
    assert (experiment.direction, experiment.status) == ("unknown(42)", "unknown(43)")
    assert codec.experiment_from_proto(experiment_pb2.Experiment()).direction is None


def test_a_score_comes_back_with_its_source() -> None:
    """A score that is read from a response has the same value, origin, key, eval and step.

    An empty response is read as None.
    """
    message = results_service_pb2.ScoreResponse(
        value=math.nan,
        source=score_pb2.ScoreSource(
            origin=score_pb2.SCORE_ORIGIN_IN_LOOP_EVAL, key="k", eval_name="e", step=0
        ),
    )
    score = codec.score_from_proto(message)
    assert score is not None
    assert math.isnan(score.value)
    assert (score.origin, score.key, score.eval_name, score.step) == ("in_loop_eval", "k", "e", 0)
    assert codec.SCORE_SOURCE.to_proto(score) == message.source
    assert codec.score_from_proto(results_service_pb2.ScoreResponse()) is None


def test_a_time_is_utc_and_keeps_its_microseconds() -> None:
    """A time is converted to UTC, with its microseconds. Nanoseconds are cut off."""
    zone = dt.timezone(dt.timedelta(hours=2))
    moment = dt.datetime(2026, 3, 1, 14, 0, 0, 123_456, tzinfo=zone)
    message = codec.timestamp_to_proto(moment)
    assert (message.seconds, message.nanos) == (1_772_366_400, 123_456_000)
    read = codec.timestamp_from_proto(Timestamp(seconds=1_772_366_400, nanos=123_456_999))
    assert read == moment
    assert read.tzinfo is dt.UTC


def test_a_time_without_a_zone_is_an_error() -> None:
    """A time without a time zone raises a ValueError."""
    with pytest.raises(ValueError, match="time zone"):
        codec.timestamp_to_proto(dt.datetime(2026, 3, 1))  # noqa: DTZ001 - that is the point


def test_what_an_arm_mirrors_is_not_sent() -> None:
    """Mirrored fields of an arm, which have the primary eval's values, are not sent."""
    row = results.EvalResult("test", metrics={"acc": 0.5}, breakdowns={"0": 1}, eval_seconds=3)
    arm = results.ArmResult("a", results.RunConfig("a"), "completed", evals=[row])
    message = codec.arm_result_to_proto(arm)
    assert arm.eval_metrics == {"acc": 0.5}
    assert dict(message.eval_metrics) == {}
    assert dict(message.eval_breakdowns) == {}
    assert not message.HasField("eval_seconds")


def test_mirrored_fields_of_a_read_arm_follow_its_rows() -> None:
    """The mirrored fields of a read arm have the values of its present primary eval.

    So they change if a row that is added later becomes the primary eval.
    """
    row = eval_result_pb2.EvalResult(name="val", step=1, metrics={"acc": math.nan})
    message = arm_result_pb2.ArmResult(
        name="a", status=arm_result_pb2.ARM_STATUS_RUNNING, eval_metrics=row.metrics, evals=[row]
    )
    arm = codec.arm_result_from_proto(message)
    arm.evals.append(results.EvalResult("test", metrics={"acc": 0.75}))
    assert arm.score("acc") == 0.75
    assert dict(codec.arm_result_to_proto(arm).eval_metrics) == {}


def test_given_eval_metrics_are_sent_as_given() -> None:
    """Eval metrics that differ from the primary eval's are sent as given."""
    row = results.EvalResult("test", metrics={"acc": 0.5})
    config = results.RunConfig("a")
    arm = results.ArmResult("a", config, "completed", eval_metrics={"acc": 0.6}, evals=[row])
    message = codec.arm_result_to_proto(arm)
    assert dict(message.eval_metrics) == {"acc": 0.6}
    assert codec.arm_result_from_proto(message).eval_metrics == {"acc": 0.6}


@each(("given", "row"), [(1, True), (1, 1.0), (0.0, -0.0), ([1], [1.0])])
def test_given_breakdowns_that_only_compare_equal_are_kept(given: Any, row: Any) -> None:
    """Given breakdowns that differ from the row's only in types or bits are kept."""
    config, rows = results.RunConfig("a"), [results.EvalResult("t", breakdowns={"x": row})]
    arm = results.ArmResult("a", config, "failed", eval_breakdowns={"x": given}, evals=rows)
    read = codec.arm_result_from_proto(codec.arm_result_to_proto(arm))
    assert exact(read.eval_breakdowns) == exact({"x": given})


def test_what_was_changed_after_construction_is_converted_too() -> None:
    """Values that were set after construction are converted by the constructor's rules."""
    row = results.EvalResult("val")
    row.metrics["acc"] = 1
    row.breakdowns[7] = (1, 2)  # type: ignore[index]
    message = codec.eval_result_to_proto(row)
    assert dict(message.metrics) == {"acc": 1.0}
    assert codec.values_from_proto(message.breakdowns) == {"7": [1, 2]}
    row.step = True
    with pytest.raises(TypeError, match="step must be an integer, not bool"):
        codec.eval_result_to_proto(row)
