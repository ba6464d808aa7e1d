"""Converts the model to and from the messages of podium.v1, in pairs of functions.

`x_to_proto` writes every field of an object, output-only fields included. Of an arm's mirrored
fields it writes given values only. It raises a TypeError or ValueError for values that a message
cannot hold. `x_from_proto` never fails: a newer server may send

- an unknown enum value, which becomes the text `unknown(N)`; `x_to_proto` rejects it;
- an unknown kind of Value, which becomes None;
- an unknown field, which is ignored.
"""

from functools import partial
from math import copysign

from podium import scoring
from podium._model import results
from podium._model.mirror import drop_mirrored, own_fields
from podium._values import coerce
from podium._values.enums import ArmStatus
from podium._wire.config import (
    component_from_proto,
    component_to_proto,
    data_config_from_proto,
    data_config_to_proto,
    model_config_from_proto,
    model_config_to_proto,
    run_config_from_proto,
    run_config_to_proto,
    run_result_from_proto,
    run_result_to_proto,
)
from podium._wire.rankings import (
    arm_counts_from_proto,
    arm_counts_to_proto,
    group_ranking_from_proto,
    rank_counts_from_proto,
    rank_counts_to_proto,
    rank_group_counts_from_proto,
    rank_group_counts_to_proto,
    rank_source_from_proto,
    rank_source_to_proto,
    ranked_arm_from_proto,
    ranked_arm_to_proto,
    ranked_group_from_proto,
    ranked_group_to_proto,
    ranking_from_proto,
    score_column_from_proto,
    score_column_to_proto,
    score_matrix_from_proto,
    score_source_from_proto,
    score_source_to_proto,
    score_statistics_from_proto,
    score_statistics_to_proto,
    scored_arm_from_proto,
    scored_arm_to_proto,
)
from podium._wire.tables import Codec, Field
from podium._wire.values import (
    arm_status_from_proto,
    arm_status_to_proto,
    direction_from_proto,
    direction_to_proto,
    experiment_status_from_proto,
    experiment_status_to_proto,
    fill_values,
    get,
    maybe,
    score_origin_from_proto,
    score_origin_to_proto,
    timestamp_from_proto,
    timestamp_to_proto,
    value_from_proto,
    value_to_proto,
    values_from_proto,
    values_to_proto,
)
from podium.v1 import (
    arm_result_pb2,
    eval_result_pb2,
    experiment_pb2,
    results_service_pb2,
    score_pb2,
)

__all__ = [
    "arm_counts_from_proto",
    "arm_counts_to_proto",
    "arm_result_from_proto",
    "arm_result_to_proto",
    "arm_status_from_proto",
    "arm_status_to_proto",
    "arm_summary_from_proto",
    "arm_summary_to_proto",
    "attempt_from_proto",
    "attempt_to_proto",
    "component_from_proto",
    "component_to_proto",
    "data_config_from_proto",
    "data_config_to_proto",
    "direction_from_proto",
    "direction_to_proto",
    "eval_result_from_proto",
    "eval_result_to_proto",
    "experiment_from_proto",
    "experiment_status_from_proto",
    "experiment_status_to_proto",
    "experiment_to_proto",
    "fill_eval_result",
    "group_ranking_from_proto",
    "model_config_from_proto",
    "model_config_to_proto",
    "rank_counts_from_proto",
    "rank_counts_to_proto",
    "rank_group_counts_from_proto",
    "rank_group_counts_to_proto",
    "rank_source_from_proto",
    "rank_source_to_proto",
    "ranked_arm_from_proto",
    "ranked_arm_to_proto",
    "ranked_group_from_proto",
    "ranked_group_to_proto",
    "ranking_from_proto",
    "run_config_from_proto",
    "run_config_to_proto",
    "run_result_from_proto",
    "run_result_to_proto",
    "score_column_from_proto",
    "score_column_to_proto",
    "score_from_proto",
    "score_matrix_from_proto",
    "score_origin_from_proto",
    "score_origin_to_proto",
    "score_source_from_proto",
    "score_source_to_proto",
    "score_statistics_from_proto",
    "score_statistics_to_proto",
    "score_to_proto",
    "scored_arm_from_proto",
    "scored_arm_to_proto",
    "timestamp_from_proto",
    "timestamp_to_proto",
    "value_from_proto",
    "value_to_proto",
    "values_from_proto",
    "values_to_proto",
]


def eval_result_to_proto(row: results.EvalResult) -> eval_result_pb2.EvalResult:
    """Returns the message of an eval row."""
    message = eval_result_pb2.EvalResult()
    fill_eval_result(message, row)
    return message


def fill_eval_result(message: eval_result_pb2.EvalResult, row: results.EvalResult) -> None:
    """Writes an eval row into an empty message, such as a field of an event.

    Training loops wait for this. Writing in place takes a third of the time of a constructor, whose
    message would be copied into the event. Each field is converted, since callers can assign
    any value to it.
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
    """Returns the eval row of a message.

    The constructor is bypassed: the types are right already, and its coercion would take more time
    than the rest of this function.
    """
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


_ATTEMPT = Codec(
    results.Attempt,
    arm_result_pb2.Attempt,
    required=["order"],
    order=Field(partial(coerce.integer, where="order"), int),
)
attempt_to_proto, attempt_from_proto = _ATTEMPT.field


def arm_result_to_proto(arm: results.ArmResult) -> arm_result_pb2.ArmResult:
    """Returns the message of an arm, without fields that only mirror its primary eval."""
    given = own_fields(arm)
    return arm_result_pb2.ArmResult(
        name=arm.name,
        run_config=maybe(run_config_to_proto, arm.run_config),
        status=arm_status_to_proto(arm.status),
        metrics=coerce.metrics(arm.metrics, "metrics"),
        eval_metrics=coerce.metrics(given["eval_metrics"], "eval_metrics"),
        eval_breakdowns=values_to_proto(given["eval_breakdowns"], "eval_breakdowns"),
        evals=[eval_result_to_proto(row) for row in arm.evals],
        run_id=arm.run_id,
        error=arm.error,
        train_seconds=arm.train_seconds,
        eval_seconds=given["eval_seconds"],
        run_result=maybe(run_result_to_proto, arm.run_result),
        group_id=arm.group_id,
        group_name=arm.group_name,
        experiment=arm.experiment,
        revision=arm.revision,
        create_time=maybe(timestamp_to_proto, arm.create_time),
        update_time=maybe(timestamp_to_proto, arm.update_time),
        attempt=maybe(attempt_to_proto, arm.attempt),
        last_heard=maybe(timestamp_to_proto, arm.last_heard),
    )


def arm_result_from_proto(message: arm_result_pb2.ArmResult) -> results.ArmResult:
    """Returns the arm of a message, with all of its rows.

    Fields that are equal to the primary eval's are cleared. They then follow the rows if rows are
    added, and are not sent back as given values.
    """
    arm = results.ArmResult(
        name=message.name,
        run_config=run_config_from_proto(message.run_config),
        status=ArmStatus.PENDING,
        metrics=dict(sorted(message.metrics.items())),
        eval_metrics=dict(sorted(message.eval_metrics.items())),
        eval_breakdowns=values_from_proto(message.eval_breakdowns),
        evals=[eval_result_from_proto(row) for row in message.evals],
        run_id=get(message, "run_id"),
        error=get(message, "error"),
        train_seconds=get(message, "train_seconds"),
        eval_seconds=get(message, "eval_seconds"),
        run_result=maybe(run_result_from_proto, get(message, "run_result")),
        group_id=get(message, "group_id"),
        group_name=get(message, "group_name"),
    )
    arm.status = arm_status_from_proto(message.status)
    arm.experiment = message.experiment
    arm.revision = message.revision
    arm.create_time = maybe(timestamp_from_proto, get(message, "create_time"))
    arm.update_time = maybe(timestamp_from_proto, get(message, "update_time"))
    arm.attempt = maybe(attempt_from_proto, get(message, "attempt"))
    arm.last_heard = maybe(timestamp_from_proto, get(message, "last_heard"))
    drop_mirrored(arm)
    return arm


def arm_summary_to_proto(arm: results.ArmSummary) -> arm_result_pb2.ArmSummary:
    """Returns the message of an arm without its rows."""
    return arm_result_pb2.ArmSummary(
        name=arm.name,
        run_config=run_config_to_proto(arm.run_config),
        status=arm_status_to_proto(arm.status),
        metrics=arm.metrics,
        eval_metrics=arm.eval_metrics,
        eval_count=arm.eval_count,
        run_id=arm.run_id,
        error=arm.error,
        train_seconds=arm.train_seconds,
        eval_seconds=arm.eval_seconds,
        group_id=arm.group_id,
        group_name=arm.group_name,
        experiment=arm.experiment,
        revision=arm.revision,
        create_time=maybe(timestamp_to_proto, arm.create_time),
        update_time=maybe(timestamp_to_proto, arm.update_time),
        attempt=maybe(attempt_to_proto, arm.attempt),
        last_heard=maybe(timestamp_to_proto, arm.last_heard),
    )


def arm_summary_from_proto(message: arm_result_pb2.ArmSummary) -> results.ArmSummary:
    """Returns the arm of a message without rows."""
    return results.ArmSummary(
        name=message.name,
        run_config=run_config_from_proto(message.run_config),
        status=arm_status_from_proto(message.status),
        metrics=dict(sorted(message.metrics.items())),
        eval_metrics=dict(sorted(message.eval_metrics.items())),
        eval_count=message.eval_count,
        run_id=get(message, "run_id"),
        error=get(message, "error"),
        train_seconds=get(message, "train_seconds"),
        eval_seconds=get(message, "eval_seconds"),
        group_id=get(message, "group_id"),
        group_name=get(message, "group_name"),
        experiment=message.experiment,
        revision=message.revision,
        create_time=maybe(timestamp_from_proto, get(message, "create_time")),
        update_time=maybe(timestamp_from_proto, get(message, "update_time")),
        attempt=maybe(attempt_from_proto, get(message, "attempt")),
        last_heard=maybe(timestamp_from_proto, get(message, "last_heard")),
    )


def experiment_to_proto(experiment: results.Experiment) -> experiment_pb2.Experiment:
    """Returns the message of an experiment."""
    return experiment_pb2.Experiment(
        name=experiment.name,
        hypothesis=experiment.hypothesis,
        success_metric=experiment.success_metric,
        conclusion=experiment.conclusion,
        parent=experiment.parent,
        direction=direction_to_proto(experiment.direction),
        status=experiment_status_to_proto(experiment.status),
        tags=coerce.texts(experiment.tags, "tags"),
        metadata=values_to_proto(experiment.metadata, "metadata"),
        revision=experiment.revision,
        create_time=maybe(timestamp_to_proto, experiment.create_time),
        update_time=maybe(timestamp_to_proto, experiment.update_time),
        arm_counts=arm_counts_to_proto(experiment.arm_counts),
    )


def experiment_from_proto(message: experiment_pb2.Experiment) -> results.Experiment:
    """Returns the experiment of a message."""
    experiment = results.Experiment(
        name=message.name,
        hypothesis=get(message, "hypothesis"),
        success_metric=get(message, "success_metric"),
        conclusion=get(message, "conclusion"),
        parent=get(message, "parent"),
        tags=list(message.tags),
        metadata=values_from_proto(message.metadata),
    )
    experiment.direction = direction_from_proto(message.direction)
    experiment.status = experiment_status_from_proto(message.status)
    experiment.revision = message.revision
    experiment.create_time = maybe(timestamp_from_proto, get(message, "create_time"))
    experiment.update_time = maybe(timestamp_from_proto, get(message, "update_time"))
    experiment.arm_counts = arm_counts_from_proto(message.arm_counts)
    return experiment


def score_to_proto(score: scoring.Score | None) -> results_service_pb2.ScoreResponse:
    """Returns the message of a score and its source; None becomes a response without a value."""
    if score is None:
        return results_service_pb2.ScoreResponse()
    source = score_pb2.ScoreSource(
        origin=score_origin_to_proto(score.origin),
        key=score.key,
        eval_name=score.eval_name,
        step=score.step,
    )
    return results_service_pb2.ScoreResponse(value=score.value, source=source)


def score_from_proto(message: results_service_pb2.ScoreResponse) -> scoring.Score | None:
    """Returns the score and source of a message; None if it has no value."""
    if not message.HasField("value"):
        return None
    source = message.source
    return scoring.Score(
        value=message.value,
        origin=score_origin_from_proto(source.origin),
        key=source.key,
        eval_name=get(source, "eval_name"),
        step=get(source, "step"),
    )
