"""Converts results to and from the messages of podium.v1. The functions are in pairs.

`x_to_proto` writes every field of an object, output-only fields included. It writes `eval_metrics`,
`eval_breakdowns` and `eval_seconds` of an arm only if they were given, not if they come from the
primary eval. It raises a TypeError or ValueError for values that a message cannot hold.
`x_from_proto` never raises an error, although a newer server may send

- an unknown enum value, which becomes the string `unknown(N)`; `x_to_proto` rejects it;
- an unknown kind of Value, which becomes None;
- an unknown field, which is ignored.
"""

from dataclasses import fields
from functools import partial
from math import copysign
from types import SimpleNamespace
from typing import Any

from podium import scoring
from podium._model import results
from podium._model.primary_fields import drop_mirrored, own_fields
from podium._model.rankings import ScoreSource
from podium._model.watching import WatchedArm, WatchedEval, WatchedSeries, WatchMarker, WatchRemoval
from podium._values import coerce
from podium._wire.tables import Codec, repeated
from podium._wire.values import (
    ARM_STATUS,
    EXPERIMENT_STATUS,
    SCORE_ORIGIN,
    Field,
    arm_status_from_proto,
    arm_status_to_proto,
    direction_from_proto,
    direction_to_proto,
    experiment_status_to_proto,
    fill_values,
    get,
    maybe,
    timestamp_from_proto,
    timestamp_to_proto,
    value_from_proto,
    value_to_proto,
    values_from_proto,
    values_to_proto,
)
from podium.curves import Series
from podium.v1 import (
    arm_result_pb2,
    eval_result_pb2,
    experiment_pb2,
    results_service_pb2,
    run_config_pb2,
    run_result_pb2,
    score_pb2,
    series_pb2,
    watch_pb2,
)

__all__ = [
    "ARM_COUNTS",
    "SCORE_SOURCE",
    "SERIES",
    "WATCHED_ARM",
    "WATCHED_EVAL",
    "WATCHED_SERIES",
    "WATCH_MARKER",
    "WATCH_REMOVAL",
    "arm_result_from_proto",
    "arm_result_to_proto",
    "arm_status_from_proto",
    "arm_status_to_proto",
    "arm_summary_from_proto",
    "attempt_to_proto",
    "direction_from_proto",
    "direction_to_proto",
    "eval_result_from_proto",
    "eval_result_to_proto",
    "experiment_from_proto",
    "experiment_status_to_proto",
    "experiment_to_proto",
    "fill_eval_result",
    "provenance_to_proto",
    "run_config_from_proto",
    "run_config_to_proto",
    "run_result_to_proto",
    "score_from_proto",
    "timestamp_from_proto",
    "timestamp_to_proto",
    "value_from_proto",
    "value_to_proto",
    "values_from_proto",
    "values_to_proto",
]


_LIST = Field(list, list)
SERIES = Codec(Series, series_pb2.Series, steps=_LIST, values=_LIST)


def eval_result_to_proto(row: results.EvalResult) -> eval_result_pb2.EvalResult:
    """Converts an eval row to a message."""
    message = eval_result_pb2.EvalResult()
    fill_eval_result(message, row)
    return message


def fill_eval_result(message: eval_result_pb2.EvalResult, row: results.EvalResult) -> None:
    """Writes an eval row into an empty message, such as a field of an event.

    A training loop waits for this function. Making a message and copying it into the event would
    take three times as long. Each field is converted again, because users can assign any value to
    a field of a row.
    """
    message.name = coerce.text(row.name, "name")
    metrics = message.metrics
    for key, number in coerce.metrics(row.metrics, "metrics").items():
        metrics[key] = number
    if row.step is not None:
        message.step = coerce.integer(row.step, "step")
    if row.tags or not isinstance(row.tags, list | tuple):
        message.tags.extend(coerce.texts(row.tags, "tags"))
    if row.breakdowns or not isinstance(row.breakdowns, dict):
        fill_values(message.breakdowns, row.breakdowns, "breakdowns")
    seconds = coerce.number(row.eval_seconds, "eval_seconds")
    if seconds or copysign(1.0, seconds) < 0:  # -0.0 keeps its sign
        message.eval_seconds = seconds
    if row.benchmark_id is not None:
        message.benchmark_id = coerce.text(row.benchmark_id, "benchmark_id")
    if row.model_ref is not None:
        message.model_ref = coerce.text(row.model_ref, "model_ref")
    _fill_output(message, row)


def _fill_output(message: eval_result_pb2.EvalResult, row: results.EvalResult) -> None:
    message.revision = row.revision
    if row.event_time is not None:
        message.event_time.CopyFrom(timestamp_to_proto(row.event_time))
    if row.record_time is not None:
        message.record_time.CopyFrom(timestamp_to_proto(row.record_time))


def eval_result_from_proto(message: eval_result_pb2.EvalResult) -> results.EvalResult:
    """Converts a message to an eval row."""
    # The checks of the constructor would take too long.
    row = object.__new__(results.EvalResult)
    row.name = message.name
    row.benchmark_id = get(message, "benchmark_id")
    row.metrics = dict(sorted(message.metrics.items()))
    row.breakdowns = values_from_proto(message.breakdowns)
    row.eval_seconds = message.eval_seconds
    row.step = get(message, "step")
    row.tags = list(message.tags)
    row.model_ref = get(message, "model_ref")
    row.revision = message.revision
    row.event_time = maybe(timestamp_from_proto, get(message, "event_time"))
    row.record_time = maybe(timestamp_from_proto, get(message, "record_time"))
    return row


# ---- Messages whose fields are those of the dataclass ---------------------------------------


def _sorted(values: Any) -> dict[str, Any]:
    return dict(sorted(values.items()))


def _metrics(name: str) -> Field:
    return Field(partial(coerce.metrics, where=name), _sorted)


def _value_map(name: str) -> Field:
    return Field(partial(values_to_proto, where=name), values_from_proto)


def _integer(name: str) -> Field:
    return Field(partial(coerce.integer, where=name), int)


_VALUES = repeated(Field(value_to_proto, value_from_proto))
_TAGS = Field(partial(coerce.texts, where="tags"), list)
_TIME = Field(timestamp_to_proto, timestamp_from_proto)

_DATA = Codec(results.DataConfig, run_config_pb2.DataConfig, rows=_VALUES, transforms=_VALUES)
_MODEL = Codec(results.ModelConfig, run_config_pb2.ModelConfig)
_COMPONENT = Codec(results.Component, run_config_pb2.Component, params=_value_map("params"))
_RUN_CONFIG = Codec(
    results.RunConfig,
    run_config_pb2.RunConfig,
    data=_DATA.field,
    model=_MODEL.field,
    algorithm=_COMPONENT.field,
    backend=_COMPONENT.field,
    eval=_value_map("eval"),
    validation=_value_map("validation"),
    seed=_integer("seed"),
    tags=_TAGS,
    extras=_value_map("extras"),
)
run_config_to_proto, run_config_from_proto = _RUN_CONFIG.to_proto, _RUN_CONFIG.from_proto

_RUN_RESULT = Codec(
    results.RunResult,
    run_result_pb2.RunResult,
    metrics=_metrics("metrics"),
    artifacts=Field(dict, _sorted),
    extras=_value_map("extras"),
)
run_result_to_proto = _RUN_RESULT.to_proto

_ATTEMPT = Codec(
    results.Attempt, arm_result_pb2.Attempt, required=["order"], order=_integer("order")
)
attempt_to_proto = _ATTEMPT.to_proto

_ANNOTATIONS = Codec(
    results.Annotations,
    arm_result_pb2.Annotations,
    required=["no_group"],
    added_tags=_TAGS,
    removed_tags=_TAGS,
    no_group=Field(lambda given: given or None, bool),
)
_PROVENANCE = Codec(
    results.Provenance,
    arm_result_pb2.Provenance,
    command_line=Field(list, list),
    packages=Field(dict, _sorted),
)
provenance_to_proto = _PROVENANCE.to_proto

_ARM = {
    "run_config": _RUN_CONFIG.field,
    "status": ARM_STATUS,
    "metrics": _metrics("metrics"),
    "eval_metrics": _metrics("eval_metrics"),
    "create_time": _TIME,
    "update_time": _TIME,
    "attempt": _ATTEMPT.field,
    "last_heard": _TIME,
    "annotations": _ANNOTATIONS.field,
    "tags": _TAGS,
}
_ARM_SUMMARY = Codec(results.ArmSummary, arm_result_pb2.ArmSummary, required=["run_config"], **_ARM)
arm_summary_from_proto = _ARM_SUMMARY.from_proto

WATCHED_ARM = Codec(
    WatchedArm,
    watch_pb2.WatchedArm,
    required=["arm"],
    arm=_ARM_SUMMARY.field,
    eval_breakdowns=_value_map("eval_breakdowns"),
    run_result=_RUN_RESULT.field,
)
WATCHED_EVAL = Codec(
    WatchedEval,
    watch_pb2.WatchedEval,
    required=["eval_result"],
    eval_result=Field(eval_result_to_proto, eval_result_from_proto),
)
WATCHED_SERIES = Codec(WatchedSeries, watch_pb2.WatchedSeries, series=repeated(SERIES.field))
WATCH_REMOVAL = Codec(WatchRemoval, watch_pb2.WatchRemoval)
WATCH_MARKER = Codec(WatchMarker, watch_pb2.WatchMarker)

_ARM_RESULT: Codec[Any, arm_result_pb2.ArmResult] = Codec(
    results.ArmResult,
    arm_result_pb2.ArmResult,
    required=["run_config"],
    eval_breakdowns=_value_map("eval_breakdowns"),
    evals=repeated(Field(eval_result_to_proto, eval_result_from_proto)),
    run_result=_RUN_RESULT.field,
    provenance=_PROVENANCE.field,
    **_ARM,
)


def arm_result_to_proto(arm: results.ArmResult) -> arm_result_pb2.ArmResult:
    """Converts an arm to a message, without the fields that only repeat the primary eval."""
    given = {item.name: item.default for item in fields(arm)} | own_fields(arm)
    return _ARM_RESULT.to_proto(SimpleNamespace(**given))


def arm_result_from_proto(message: arm_result_pb2.ArmResult) -> results.ArmResult:
    """Converts a message to an arm.

    Clears fields that only repeat the primary eval. A cleared field returns the value of the
    primary eval, even if another row becomes primary.
    """
    arm: results.ArmResult = _ARM_RESULT.from_proto(message)
    drop_mirrored(arm)
    return arm


ARM_COUNTS = Codec(results.ArmCounts, experiment_pb2.ArmCounts)

_EXPERIMENT = Codec(
    results.Experiment,
    experiment_pb2.Experiment,
    required=["arm_counts"],
    direction=Field(direction_to_proto, direction_from_proto),
    status=EXPERIMENT_STATUS,
    tags=_TAGS,
    metadata=_value_map("metadata"),
    create_time=_TIME,
    update_time=_TIME,
    arm_counts=ARM_COUNTS.field,
)
experiment_to_proto, experiment_from_proto = _EXPERIMENT.to_proto, _EXPERIMENT.from_proto

SCORE_SOURCE: Codec[Any, score_pb2.ScoreSource] = Codec(
    ScoreSource, score_pb2.ScoreSource, origin=SCORE_ORIGIN
)


def score_from_proto(message: results_service_pb2.ScoreResponse) -> scoring.Score | None:
    """Returns the score in a response, with its source, or None if the response has no value."""
    if not message.HasField("value"):
        return None
    return scoring.Score(message.value, **vars(SCORE_SOURCE.from_proto(message.source)))
