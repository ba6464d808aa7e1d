"""Checks events, field by field. The path of a field in an error begins at the event."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from podium._limits.annotation_checks import check_annotated, check_annotations, check_provenance
from podium._limits.checks import (
    are_accepted,
    check_count,
    check_enum,
    check_experiment_name,
    check_keys,
    check_metric,
    check_name,
    check_optional_names,
    check_seconds,
    check_set,
    check_text,
    check_texts,
    check_time,
    check_values,
    is_time,
)
from podium._limits.limits import Limits
from podium._values.names import shown
from podium.errors import PodiumError, error_for
from podium.v1.arm_result_pb2 import ARM_STATUS_RUNNING, ArmResult, ArmStatus
from podium.v1.eval_result_pb2 import EvalResult
from podium.v1.event_pb2 import (
    ArmFinished,
    ArmRecorded,
    ArmStarted,
    EvalRecorded,
    Event,
    ExperimentConcluded,
    ExperimentDeclared,
    MetricsRecorded,
)
from podium.v1.experiment_pb2 import Direction
from podium.v1.run_config_pb2 import RunConfig
from podium.v1.run_result_pb2 import RunResult
from podium.v1.value_pb2 import Value

__all__ = [
    "ARM_STATUSES",
    "check_event",
    "check_fields",
    "check_metric_count",
    "is_too_large",
    "metric_count",
    "plain_row",
]

ARM_STATUSES: Mapping[int, str] = {number: name for name, number in ArmStatus.items() if number}
"""The statuses that an arm can have, by number."""
_DIRECTIONS: Mapping[int, str] = {number: name for name, number in Direction.items()}
PlainRow = tuple[EvalResult, str, str | None, list[str]]
"""An eval row, the name of its arm, the id of its attempt, and its tags."""
_FINAL_STATUSES = {
    number: name for number, name in ARM_STATUSES.items() if number > ARM_STATUS_RUNNING
}


def check_event(event: Event, limits: Limits) -> None:
    """Checks all fields of an event. For most eval rows, the quick check `plain_row` is enough."""
    if event.ByteSize() > limits.row_bytes or plain_row(event, limits) is None:
        check_fields(event, limits)


def check_fields(event: Event, limits: Limits) -> None:
    """Checks all fields of an event, including its kind and its time, one by one."""
    kind = event.WhichOneof("kind")
    if kind is None:
        check_set(is_set=False, field="kind")
    else:
        _CHECKS[kind](getattr(event, kind), limits)
    if event.HasField("event_time"):
        check_time(event.event_time, "event_time")


_METRIC_BYTES = 7
"""The fewest bytes that a metric value can take in a message."""


def check_metric_count(events: Sequence[Event], size: int, limits: Limits) -> None:
    """Raises LIMIT_EXCEEDED if the events of a call have too many metric values.

    A call whose only event is an ArmFinished is always accepted. `size` is the number of bytes of
    the call. If the call is so small that it cannot have too many values, they are not counted.
    """
    if len(events) == 1 and events[0].HasField("arm_finished"):
        return
    if size > limits.call_metrics * _METRIC_BYTES:
        metrics = sum(map(metric_count, events))
        check_count(metrics, "events", limits.call_metrics, "metric values")


def metric_count(event: Event) -> int:
    """Returns the number of metric values of an event, as `Limits.call_metrics` counts them."""
    kind = event.WhichOneof("kind")
    if kind == "eval_recorded":
        return len(event.eval_recorded.eval_result.metrics)
    if kind == "metrics_recorded":
        return len(event.metrics_recorded.metrics)
    if kind == "arm_recorded":
        arm = event.arm_recorded.arm_result
        # A row without metrics takes as much work as a row with one metric.
        rows = sum(max(1, len(row.metrics)) for row in arm.evals)
        returned = len(arm.run_result.metrics)
        return len(arm.metrics) + len(arm.eval_metrics) + rows + returned
    return len(event.arm_finished.run_result.metrics)


def _check_declared(event: ExperimentDeclared, limits: Limits) -> None:
    if event.HasField("hypothesis"):
        check_text(event.hypothesis, "experiment_declared.hypothesis", limits)
    if event.HasField("success_metric"):
        check_metric(event.success_metric, "experiment_declared.success_metric", limits)
    if event.HasField("parent"):
        check_experiment_name(event.parent, "experiment_declared.parent", limits)
    check_enum(event.direction, "experiment_declared.direction", _DIRECTIONS)
    check_keys(event.tags, "experiment_declared.tags", limits)
    _check_value_map(event.metadata, "experiment_declared.metadata", limits)
    _check_cleared(event, limits)


_CLEARABLE = (
    "hypothesis",
    "success_metric",
    "conclusion",
    "parent",
    "direction",
    "tags",
    "metadata",
)


def _check_cleared(event: ExperimentDeclared, limits: Limits) -> None:
    field = "experiment_declared.clear_fields"
    check_count(len(event.clear_fields), field, limits.map_keys, "fields")
    given = {descriptor.name for descriptor, _ in event.ListFields()}
    for path in event.clear_fields:
        name, _, key = path.partition(".")
        if path not in _CLEARABLE and not (name == "metadata" and key):
            problem = f"; give one of {', '.join(_CLEARABLE)}, or metadata.KEY"
        elif path in given or key in event.metadata:
            problem = ", which this event also sets; leave out one of the two"
        else:
            continue
        raise error_for(
            "FIELD_OUT_OF_RANGE", f"{field} has {shown(path)}{problem}", {"field": field}
        )


def _check_concluded(event: ExperimentConcluded, limits: Limits) -> None:
    check_set(is_set=bool(event.conclusion), field="experiment_concluded.conclusion")
    check_text(event.conclusion, "experiment_concluded.conclusion", limits)


def _check_started(event: ArmStarted, limits: Limits) -> None:
    check_name(event.arm, "arm_started.arm", limits)
    check_set(is_set=event.HasField("run_config"), field="arm_started.run_config")
    _check_config(event.run_config, "arm_started.run_config", limits)
    check_set(is_set=event.HasField("attempt"), field="arm_started.attempt")
    check_name(event.attempt.id, "arm_started.attempt.id", limits)
    check_set(is_set=event.attempt.HasField("order"), field="arm_started.attempt.order")
    check_optional_names(event, "arm_started", ("group_id", "group_name", "run_id"), limits)
    if event.WhichOneof("mode") == "restart":
        check_set(is_set=event.restart, field="arm_started.restart")
    check_provenance(event.provenance, "arm_started.provenance", limits)


def _check_metrics_recorded(event: MetricsRecorded, limits: Limits) -> None:
    check_name(event.arm, "metrics_recorded.arm", limits)
    if event.HasField("attempt_id"):
        check_name(event.attempt_id, "metrics_recorded.attempt_id", limits)
    check_keys(event.metrics, "metrics_recorded.metrics", limits)


def _check_eval_recorded(event: EvalRecorded, limits: Limits) -> None:
    check_name(event.arm, "eval_recorded.arm", limits)
    if event.HasField("attempt_id"):
        check_name(event.attempt_id, "eval_recorded.attempt_id", limits)
    check_set(is_set=event.HasField("eval_result"), field="eval_recorded.eval_result")
    _check_row_at("eval_recorded.eval_result", event.eval_result, limits)


def plain_row(event: Event, limits: Limits) -> PlainRow | None:
    """Checks quickly whether an event is a valid, simple eval row. If so, returns the row's parts.

    A simple row has only metrics, a step, tags and seconds, and all its names have passed a check
    before. Returns None for any other event, which may be valid or not.
    """
    recorded = event.eval_recorded
    row = recorded.eval_result
    arm, attempt_id, tags = recorded.arm, None, row.tags[:]
    names = [arm, row.name, *row.metrics, *tags]
    if recorded.HasField("attempt_id"):
        attempt_id = recorded.attempt_id
        names.append(attempt_id)
    if (
        are_accepted(names, limits)
        and len(names) <= limits.map_keys
        and 0.0 <= row.eval_seconds < math.inf
        and not (row.breakdowns or row.HasField("benchmark_id") or row.HasField("model_ref"))
        and not (event.HasField("event_time") and not is_time(event.event_time))
    ):
        return row, arm, attempt_id, tags
    return None


def _check_finished(event: ArmFinished, limits: Limits) -> None:
    check_name(event.arm, "arm_finished.arm", limits)
    if event.HasField("attempt_id"):
        check_name(event.attempt_id, "arm_finished.attempt_id", limits)
    check_enum(event.status, "arm_finished.status", _FINAL_STATUSES)
    if event.HasField("train_seconds"):
        check_seconds(event.train_seconds, "arm_finished.train_seconds")
    if event.HasField("run_result"):
        wrong = _run_result_error(event.run_result, "arm_finished.run_result", limits)
        if wrong is not None and wrong.reason not in _TOO_LARGE:
            raise wrong


def is_too_large(result: RunResult, limits: Limits) -> bool:
    """Returns whether a run_result exceeds a limit. If so, the ArmFinished is stored without it."""
    wrong = _run_result_error(result, "run_result", limits)
    return wrong is not None and wrong.reason in _TOO_LARGE


_TOO_LARGE = ("LIMIT_EXCEEDED", "VALUE_INVALID")
"""If a run_result has an error with one of these reasons, the ArmFinished is stored without it."""


def _run_result_error(result: RunResult, path: str, limits: Limits) -> PodiumError | None:
    try:
        _check_run_result(result, path, limits)
    except PodiumError as error:
        return error.with_traceback(None)
    return None


def _check_arm_recorded(event: ArmRecorded, limits: Limits) -> None:
    path = "arm_recorded.arm_result"
    check_set(is_set=event.HasField("arm_result"), field=path)
    arm = event.arm_result
    check_name(arm.name, f"{path}.name", limits)
    check_set(is_set=arm.HasField("run_config"), field=f"{path}.run_config")
    _check_config(arm.run_config, f"{path}.run_config", limits)
    check_enum(arm.status, f"{path}.status", ARM_STATUSES)
    check_keys(arm.metrics, f"{path}.metrics", limits)
    check_keys(arm.eval_metrics, f"{path}.eval_metrics", limits)
    _check_value_map(arm.eval_breakdowns, f"{path}.eval_breakdowns", limits)
    for index, row in enumerate(arm.evals):
        _check_row_at(f"{path}.evals[{index}]", row, limits)
        if row.HasField("event_time"):
            check_time(row.event_time, f"{path}.evals[{index}].event_time")
    _check_arm_facts(arm, path, limits)


def _check_arm_facts(arm: ArmResult, path: str, limits: Limits) -> None:
    check_optional_names(arm, path, ("run_id", "group_id", "group_name"), limits)
    if arm.HasField("train_seconds"):
        check_seconds(arm.train_seconds, f"{path}.train_seconds")
    if arm.HasField("eval_seconds"):
        check_seconds(arm.eval_seconds, f"{path}.eval_seconds")
    if arm.HasField("run_result"):
        _check_run_result(arm.run_result, f"{path}.run_result", limits)
    check_annotations(arm.annotations, f"{path}.annotations", limits)
    check_provenance(arm.provenance, f"{path}.provenance", limits)


def _check_row_at(path: str, row: EvalResult, limits: Limits) -> None:
    try:
        _check_row(row, limits)
    except PodiumError as error:
        # Otherwise, the error and the row would keep each other in memory.
        wrong = error.with_traceback(None)
    else:
        return
    field = wrong.metadata["field"]
    where = {**wrong.metadata, "field": f"{path}.{field}" if field else path}
    raise error_for(wrong.reason, f"{path}: {wrong.message}", where)


def _check_row(row: EvalResult, limits: Limits) -> None:
    """Checks a row. The path of a field in an error begins at the row. Callers add the prefix."""
    check_name(row.name, "name", limits)
    check_count(row.ByteSize(), "", limits.row_bytes, "bytes", name=f"eval {row.name!r}")
    check_keys(row.metrics, "metrics", limits)
    check_seconds(row.eval_seconds, "eval_seconds")
    if row.tags:
        check_keys(row.tags, "tags", limits)
    if row.breakdowns:
        _check_value_map(row.breakdowns, "breakdowns", limits)
    if row.HasField("benchmark_id"):
        check_name(row.benchmark_id, "benchmark_id", limits)
    if row.HasField("model_ref"):
        check_name(row.model_ref, "model_ref", limits)


def _check_config(config: RunConfig, path: str, limits: Limits) -> None:
    check_set(is_set=bool(config.name), field=f"{path}.name")
    check_count(config.ByteSize(), path, limits.arm_bytes, "bytes")
    check_texts(config, path, limits)
    check_texts(config.data, f"{path}.data", limits)
    check_texts(config.model, f"{path}.model", limits)
    check_values(config.data.rows, f"{path}.data.rows", limits)
    check_values(config.data.transforms, f"{path}.data.transforms", limits)
    for name, component in (("algorithm", config.algorithm), ("backend", config.backend)):
        check_text(component.kind, f"{path}.{name}.kind", limits)
        _check_value_map(component.params, f"{path}.{name}.params", limits)
    for name, values in (
        ("eval", config.eval),
        ("validation", config.validation),
        ("extras", config.extras),
    ):
        _check_value_map(values, f"{path}.{name}", limits)
    check_keys(config.tags, f"{path}.tags", limits)


def _check_run_result(result: RunResult, path: str, limits: Limits) -> None:
    # An error text is not counted, because a long one is shortened and not rejected.
    check_count(result.ByteSize() - len(result.error.encode()), path, limits.arm_bytes, "bytes")
    check_text(result.run_id, f"{path}.run_id", limits)
    check_text(result.status, f"{path}.status", limits)
    check_keys(result.metrics, f"{path}.metrics", limits)
    check_keys(result.artifacts, f"{path}.artifacts", limits)
    for key, place in result.artifacts.items():
        check_text(place, f"{path}.artifacts[{key!r}]", limits)
    _check_value_map(result.extras, f"{path}.extras", limits)


def _check_value_map(values: Mapping[str, Value], path: str, limits: Limits) -> None:
    check_keys(values, path, limits)
    check_values(values.values(), path, limits)


_CHECKS: dict[str, Callable[[Any, Limits], None]] = {
    "experiment_declared": _check_declared,
    "experiment_concluded": _check_concluded,
    "arm_started": _check_started,
    "metrics_recorded": _check_metrics_recorded,
    "eval_recorded": _check_eval_recorded,
    "arm_finished": _check_finished,
    "arm_annotated": check_annotated,
    "arm_recorded": _check_arm_recorded,
    "skipped": lambda _event, _limits: None,
}
