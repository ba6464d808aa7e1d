"""Makes events for `Client.record`, with one function for each kind of event.

The handles of a client call these functions. Call them yourself to record several events in one
call, or to give the call a `StreamPosition`.
"""

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from podium._interface.endings import error_text
from podium._model.results import ArmResult, Attempt, EvalResult, Provenance, RunConfig, RunResult
from podium._values import coerce
from podium._values.arguments import DirectionLike, FinalStatus, StepLike, Strings
from podium._values.coerce import Metrics
from podium._values.enums import ArmStatus
from podium._wire import codec
from podium.v1 import event_pb2

__all__ = [
    "arm_annotated",
    "arm_finished",
    "arm_recorded",
    "arm_started",
    "eval_recorded",
    "experiment_concluded",
    "experiment_declared",
    "metrics_recorded",
    "skipped",
]

_NANOS = 1_000_000_000


def experiment_declared(
    *,
    hypothesis: str | None = None,
    success_metric: str | None = None,
    direction: DirectionLike | None = None,
    parent: str | None = None,
    tags: Strings = (),
    metadata: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    clear_fields: Strings = (),
    event_time: datetime | None = None,
) -> event_pb2.Event:
    """Makes the event that declares an experiment; see `ExperimentHandle.declare`."""
    declared = event_pb2.ExperimentDeclared(
        hypothesis=coerce.optional(coerce.text, hypothesis, "hypothesis"),
        success_metric=coerce.optional(coerce.text, success_metric, "success_metric"),
        direction=codec.direction_to_proto(direction),
        parent=coerce.optional(coerce.text, parent, "parent"),
        tags=coerce.texts(tags, "tags"),
        metadata=codec.values_to_proto(metadata or {}, "metadata"),
        overwrite=coerce.boolean(overwrite, "overwrite"),
        clear_fields=coerce.texts(clear_fields, "clear_fields"),
    )
    return event_pb2.Event(event_time=_time(event_time), experiment_declared=declared)


def arm_started(
    arm: str | None,
    run_config: RunConfig,
    attempt: Attempt,
    *,
    group_id: str | None = None,
    group_name: str | None = None,
    run_id: str | None = None,
    resume_step: StepLike | None = None,
    restart: bool = False,
    provenance: Provenance | None = None,
    event_time: datetime | None = None,
) -> event_pb2.Event:
    """Makes the event that starts an attempt of an arm; see `ExperimentHandle.start_arm`.

    If `arm` is None, the arm has the name of the run_config.
    """
    run_config = coerce.instance_of(RunConfig)(run_config, "run_config")
    restart = coerce.boolean(restart, "restart")
    origin = coerce.optional(coerce.instance_of(Provenance), provenance, "provenance")
    if restart and resume_step is not None:
        raise ValueError("give resume_step, to resume, or restart, to start over; not both")
    started = event_pb2.ArmStarted(
        arm=run_config.name if arm is None else coerce.text(arm, "arm"),
        run_config=codec.run_config_to_proto(run_config),
        attempt=codec.attempt_to_proto(attempt),
        group_id=coerce.optional(coerce.text, group_id, "group_id"),
        group_name=coerce.optional(coerce.text, group_name, "group_name"),
        run_id=coerce.optional(coerce.text, run_id, "run_id"),
        provenance=None if origin is None else codec.provenance_to_proto(origin),
    )
    if resume_step is not None:
        started.resume_step = coerce.integer(resume_step, "resume_step")
    elif restart:
        started.restart = True
    return event_pb2.Event(event_time=_time(event_time), arm_started=started)


def metrics_recorded(
    arm: str,
    metrics: Metrics,
    *,
    step: StepLike | None = None,
    attempt_id: str | None = None,
    event_time: datetime | None = None,
) -> event_pb2.Event:
    """Makes the event that records training metrics of an arm; see `ArmHandle.log`."""
    event = _event(event_time)
    recorded = event.metrics_recorded
    recorded.arm = coerce.text(arm, "arm")
    if attempt_id is not None:
        recorded.attempt_id = coerce.text(attempt_id, "attempt_id")
    if step is not None:
        recorded.step = coerce.integer(step, "step")
    values = recorded.metrics
    for key, number in coerce.metrics(metrics, "metrics").items():
        values[key] = number
    return event


def eval_recorded(
    arm: str,
    eval_result: EvalResult,
    *,
    attempt_id: str | None = None,
    event_time: datetime | None = None,
) -> event_pb2.Event:
    """Makes the event that records an eval row of an arm; see `ArmHandle.log_eval`."""
    event = _event(event_time)
    recorded = event.eval_recorded
    recorded.arm = coerce.text(arm, "arm")
    if attempt_id is not None:
        recorded.attempt_id = coerce.text(attempt_id, "attempt_id")
    codec.fill_eval_result(recorded.eval_result, eval_result)
    return event


def arm_finished(
    arm: str,
    status: FinalStatus = ArmStatus.COMPLETED,
    *,
    error: str | None = None,
    train_seconds: float | None = None,
    run_result: RunResult | None = None,
    attempt_id: str | None = None,
    event_time: datetime | None = None,
) -> event_pb2.Event:
    """Makes the event that finishes an arm; see `ArmHandle.finish`."""
    if status in (ArmStatus.PENDING, ArmStatus.RUNNING):
        raise ValueError(f"status must be completed, failed or cancelled; not {status!r}")
    result = coerce.optional(coerce.instance_of(RunResult), run_result, "run_result")
    finished = event_pb2.ArmFinished(
        arm=coerce.text(arm, "arm"),
        attempt_id=coerce.optional(coerce.text, attempt_id, "attempt_id"),
        status=codec.arm_status_to_proto(status),
        error=None if error is None else error_text(coerce.text(error, "error")),
        train_seconds=coerce.optional(coerce.number, train_seconds, "train_seconds"),
        run_result=None if result is None else codec.run_result_to_proto(result),
    )
    return event_pb2.Event(event_time=_time(event_time), arm_finished=finished)


def arm_annotated(
    arm: str,
    *,
    notes: str | None = None,
    add_tags: Strings = (),
    remove_tags: Strings = (),
    group_name: str | None = None,
    event_time: datetime | None = None,
) -> event_pb2.Event:
    """Makes the event that changes notes, tags or group of an arm; see `ArmHandle.annotate`."""
    annotated = event_pb2.ArmAnnotated(
        arm=coerce.text(arm, "arm"),
        add_tags=coerce.texts(add_tags, "add_tags"),
        remove_tags=coerce.texts(remove_tags, "remove_tags"),
    )
    if notes == "":
        annotated.clear_notes = True
    elif notes is not None:
        annotated.notes = coerce.text(notes, "notes")
    if group_name == "":
        annotated.clear_group = True
    elif group_name is not None:
        annotated.group_name = coerce.text(group_name, "group_name")
    return event_pb2.Event(event_time=_time(event_time), arm_annotated=annotated)


def arm_recorded(
    arm_result: ArmResult, *, replace: bool = False, event_time: datetime | None = None
) -> event_pb2.Event:
    """Makes the event that records an arm with all results; see `ExperimentHandle.record_arm`."""
    arm_result = coerce.instance_of(ArmResult)(arm_result, "arm_result")
    recorded = event_pb2.ArmRecorded(
        arm_result=codec.arm_result_to_proto(arm_result),
        replace=coerce.boolean(replace, "replace"),
    )
    return event_pb2.Event(event_time=_time(event_time), arm_recorded=recorded)


def experiment_concluded(conclusion: str, *, event_time: datetime | None = None) -> event_pb2.Event:
    """Makes the event that concludes an experiment; see `ExperimentHandle.conclude`."""
    concluded = event_pb2.ExperimentConcluded(conclusion=coerce.text(conclusion, "conclusion"))
    return event_pb2.Event(event_time=_time(event_time), experiment_concluded=concluded)


def skipped(*, event_time: datetime | None = None) -> event_pb2.Event:
    """Makes an event that does nothing.

    In a stream, send it in place of an event that is permanently rejected, so that the positions of
    later events stay the same.
    """
    return event_pb2.Event(event_time=_time(event_time), skipped=event_pb2.Skipped())


def _event(given: datetime | None) -> event_pb2.Event:
    # Callers fill in the other fields in place, which is faster than copying a message.
    event = event_pb2.Event()
    if given is not None:
        event.event_time.CopyFrom(codec.timestamp_to_proto(given))
    else:
        event.event_time.seconds, event.event_time.nanos = divmod(time.time_ns(), _NANOS)
    return event


def _time(given: datetime | None) -> Timestamp:
    if given is not None:
        return codec.timestamp_to_proto(given)
    seconds, nanos = divmod(time.time_ns(), _NANOS)
    return Timestamp(seconds=seconds, nanos=nanos)
