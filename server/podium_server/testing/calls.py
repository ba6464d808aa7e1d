"""Makes calls for a store. All calls have the same time, so that stored contents compare equal."""

from collections.abc import Mapping
from typing import Any

from podium._limits.limits import Limits
from podium.v1.arm_result_pb2 import ArmResult, Attempt
from podium.v1.eval_result_pb2 import EvalResult
from podium.v1.event_pb2 import (
    ArmRecorded,
    ArmStarted,
    EvalRecorded,
    Event,
    ExperimentDeclared,
    MetricsRecorded,
)
from podium.v1.recording_service_pb2 import StreamPosition
from podium.v1.run_config_pb2 import RunConfig

from podium_server.store.calls import ArmChange, CurrentRows, DerivedScores, Loaded
from podium_server.writes import DeleteArmCall, DeleteExperimentCall, RecordCall

__all__ = [
    "NOW",
    "BrokenAfter",
    "BrokenBefore",
    "arm",
    "declared",
    "delete_arm",
    "delete_experiment",
    "metrics",
    "record",
    "row",
    "started",
]

NOW = 1_767_225_600_000_000
"""The time of every call, in microseconds since 1970."""


def record(
    *events: Event,
    experiment: str = "x",
    writer: str | None = None,
    first: int = 1,
    kind: type[RecordCall] = RecordCall,
) -> RecordCall:
    """Returns a Record call.

    With `writer`, its first event has the sequence number `first`. `kind` is the class of the call.
    """
    position = None if writer is None else StreamPosition(writer_id=writer, first_sequence=first)
    size = sum(event.ByteSize() for event in events)
    return kind(experiment, events, position, limits=Limits(), now=NOW, size=size)


def delete_arm(name: str, experiment: str = "x") -> DeleteArmCall:
    """Returns a DeleteArm call."""
    return DeleteArmCall(experiment, allow_missing=False, now=NOW, arm=name)


def delete_experiment(experiment: str = "x") -> DeleteExperimentCall:
    """Returns a DeleteExperiment call."""
    return DeleteExperimentCall(experiment, allow_missing=False, now=NOW)


def declared(**fields: Any) -> Event:
    """Returns an event that declares an experiment."""
    return Event(experiment_declared=ExperimentDeclared(**fields))


def arm(name: str = "a", *rows: EvalResult, replace: bool = False, **fields: Any) -> Event:
    """Returns an event that records a whole arm. Without `status`, the arm is RUNNING."""
    fields = {"status": 2, "run_config": RunConfig(name="r"), **fields}
    result = ArmResult(name=name, evals=rows, **fields)
    return Event(arm_recorded=ArmRecorded(arm_result=result, replace=replace))


def started(name: str, attempt: str, order: int, **mode: Any) -> Event:
    """Returns an event that starts an attempt."""
    return Event(
        arm_started=ArmStarted(
            arm=name,
            run_config=RunConfig(name="r"),
            attempt=Attempt(id=attempt, order=order),
            **mode,
        )
    )


def metrics(values: Mapping[str, float], name: str = "a", *, step: int | None = None) -> Event:
    """Returns an event with training metrics."""
    return Event(metrics_recorded=MetricsRecorded(arm=name, metrics=values, step=step))


def row(eval_name: str, step: int | None = None, name: str = "a", **fields: Any) -> Event:
    """Returns an event with an eval row."""
    result = EvalResult(name=eval_name, step=step, **fields)
    return Event(eval_recorded=EvalRecorded(arm=name, eval_result=result))


class BrokenBefore(RecordCall):
    """A call that fails in `decide` because of a defect."""

    def decide(self, loaded: Loaded) -> Any:
        """Raises ZeroDivisionError."""
        super().decide(loaded)
        raise ZeroDivisionError


class BrokenAfter(RecordCall):
    """A call that fails because of a defect after some of its changes are written."""

    def derive(self, _change: ArmChange, _current_rows: CurrentRows) -> DerivedScores:
        """Raises ZeroDivisionError."""
        raise ZeroDivisionError
