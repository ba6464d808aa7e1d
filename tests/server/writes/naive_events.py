"""A second, naive implementation of each event, which `naive` uses."""

from collections.abc import Callable, Iterable
from copy import deepcopy
from struct import pack
from typing import Any

from podium.v1 import arm_result_pb2, event_pb2, experiment_pb2, run_config_pb2
from podium.v1.eval_result_pb2 import EvalResult

from tests.server.writes.naive_annotations import notes_of
from tests.server.writes.naive_state import (
    Arm,
    Experiment,
    NaiveError,
    Row,
    Stream,
    encoded,
    moment,
)

__all__ = ["apply_event", "lacks_attempt"]

_COMPLETED = 3
_UNSUCCESSFUL = (4, 5)
_LATEST_ORDER = 2**62
"""An order that is far ahead of any clock. Random orders are small, or this one."""
_FACTS = (
    "run_id", "error", "train_seconds", "eval_seconds", "run_result", "group_id", "group_name",
    "provenance",
)  # fmt: skip


def lacks_attempt(event: event_pb2.Event, events: Iterable[event_pb2.Event]) -> bool:
    """Returns whether an event names no attempt, although one of `events` starts its arm."""
    kind = event.WhichOneof("kind") or "skipped"
    if kind in ("skipped", "experiment_declared", "experiment_concluded", "arm_started"):
        return False
    body = getattr(event, kind)
    names_one = kind not in ("arm_annotated", "arm_recorded") and body.HasField("attempt_id")
    started = {e.arm_started.arm for e in events if e.HasField("arm_started")}
    return not names_one and _subject(kind, body) in started


def apply_event(experiment: Experiment, event: event_pb2.Event, stream: Stream | None) -> list[str]:
    """Applies an event, or raises. Returns the fields that a declaration did not overwrite."""
    kind = event.WhichOneof("kind") or ""
    if kind == "skipped":
        return []
    body = getattr(event, kind)
    if stream is not None:
        _speak(stream, _subject(kind, body))
    if kind == "experiment_declared":
        return _declare(experiment, body)
    if not experiment.alive:
        raise NaiveError("EXPERIMENT_NOT_FOUND")
    _KINDS[kind](experiment, body, event.event_time if event.HasField("event_time") else None)
    return []


def _subject(kind: str, body: Any) -> str:
    if kind.startswith("experiment_"):
        return ""
    return str(body.arm_result.name if kind == "arm_recorded" else body.arm)


def _speak(stream: Stream, subject: str) -> None:
    if stream.closed:
        raise NaiveError(stream.closed)
    if stream.subject not in (None, subject):
        raise NaiveError("STREAM_SUBJECT_CHANGED")
    stream.subject = subject


def _declare(experiment: Experiment, body: event_pb2.ExperimentDeclared) -> list[str]:
    if not experiment.alive:
        experiment.alive, experiment.said, experiment.arms = True, experiment_pb2.Experiment(), []
    said, kept = experiment.said, []
    for path in body.clear_fields:
        if path == "metadata.k":
            said.metadata.pop("k", None)
        else:
            said.ClearField(path)  # type: ignore[arg-type]
    for name in ("hypothesis", "success_metric", "parent"):
        if body.HasField(name):
            if (
                said.HasField(name)
                and not body.overwrite
                and getattr(said, name) != getattr(body, name)
            ):
                kept.append(name)
            else:
                setattr(said, name, getattr(body, name))
    return kept + _declare_rest(said, body)


def _declare_rest(said: experiment_pb2.Experiment, body: event_pb2.ExperimentDeclared) -> list[str]:
    kept = []
    if body.direction:
        if said.direction not in (0, body.direction) and not body.overwrite:
            kept.append("direction")
        else:
            said.direction = body.direction
    if body.tags:
        if said.tags and list(said.tags) != list(body.tags) and not body.overwrite:
            kept.append("tags")
        else:
            said.tags[:] = body.tags
    for key in sorted(body.metadata):
        new = body.metadata[key]
        if (
            key in said.metadata
            and encoded(said.metadata[key]) != encoded(new)
            and not body.overwrite
        ):
            kept.append(f"metadata.{key}")
        else:
            said.metadata[key].CopyFrom(new)
    return kept


def _conclude(experiment: Experiment, body: event_pb2.ExperimentConcluded, _time: Any) -> None:
    experiment.said.conclusion = body.conclusion


def _start(experiment: Experiment, body: event_pb2.ArmStarted, _time: Any) -> None:
    arm, mode = experiment.arm(body.arm), body.WhichOneof("mode")
    if arm is not None and arm.attempt == (body.attempt.id, body.attempt.order):
        return
    if arm is not None and arm.attempt and arm.attempt[0] == body.attempt.id:
        raise NaiveError("STALE_ATTEMPT")
    if body.attempt.order >= _LATEST_ORDER:
        raise NaiveError("FIELD_OUT_OF_RANGE")
    if arm is None:
        arm = Arm(body.arm)
        experiment.arms.append(arm)
    else:
        if arm.attempt is not None and body.attempt.order <= arm.attempt[1]:
            raise NaiveError("STALE_ATTEMPT")
        if arm.status == _COMPLETED and mode is None:
            raise NaiveError("ARM_FINISHED")
        if mode == "resume_step" or arm.status not in _UNSUCCESSFUL:
            _check_config(arm, body)
        _leave(arm, body.resume_step if mode == "resume_step" else None)
    arm.config, arm.status, arm.recorded_last = body.run_config, 2, None
    arm.attempt = (body.attempt.id, body.attempt.order)
    for name in ("run_id", "group_id", "group_name", "provenance"):
        if body.HasField(name):
            arm.facts[name] = getattr(body, name)
    arm.noted.put_in_group(arm.facts)


def _check_config(arm: Arm, body: event_pb2.ArmStarted) -> None:
    if _fixed(arm.config) != _fixed(body.run_config):
        raise NaiveError("RUN_CONFIG_CHANGED")


def _fixed(config: run_config_pb2.RunConfig) -> bytes:
    """Returns the encoding of the settings that no attempt may change. Leaves out empty parts."""
    fixed: Any = deepcopy(config)
    fixed.model.ClearField("load_checkpoint_path")
    fixed.ClearField("tags")
    fixed.ClearField("extras")
    for part in ("data", "model", "algorithm", "backend"):
        if not getattr(fixed, part).ByteSize():
            fixed.ClearField(part)
    return encoded(fixed)


def _leave(arm: Arm, resume_step: int | None) -> None:
    """Removes the results that an arm loses when a newer attempt begins."""
    for name in ("error", "train_seconds", "eval_seconds", "run_result", "provenance"):
        arm.facts.pop(name, None)
    if resume_step is None:
        arm.facts.pop("run_id", None)
        arm.rows, arm.metrics, arm.given, arm.series = [], {}, None, {}
    else:
        arm.series = {at: value for at, value in arm.series.items() if at[1] <= resume_step}
        kept = [(row, row.identity[1]) for row in arm.rows]
        arm.rows = [row for row, step in kept if step is not None and step <= resume_step]


def _known(experiment: Experiment, body: Any) -> Arm:
    arm = experiment.arm(body.arm)
    if arm is None:
        raise NaiveError("ARM_NOT_FOUND")
    if body.HasField("attempt_id") and (arm.attempt is None or arm.attempt[0] != body.attempt_id):
        raise NaiveError("STALE_ATTEMPT")
    return arm


def _metrics(experiment: Experiment, body: event_pb2.MetricsRecorded, _time: Any) -> None:
    arm = _known(experiment, body)
    for key, value in body.metrics.items():
        if body.HasField("step"):
            before = arm.series.get((key, body.step))
            if before is not None and pack("<d", before) == pack("<d", value):
                continue
            arm.series[key, body.step] = value
        arm.metrics[key] = value


def _eval(experiment: Experiment, body: event_pb2.EvalRecorded, event_time: Any) -> None:
    arm = _known(experiment, body)
    new = Row(_without_outputs(body.eval_result), event_time, experiment.revision + 1)
    arm.given = None
    for index, row in enumerate(arm.rows):
        if row.identity == new.identity:
            if _model(row) != _model(new):
                raise NaiveError("MODEL_REF_CHANGED")
            if _same(row, new):
                return
            arm.rows[index] = new
            return
    arm.rows.append(new)


def _same(row: Row, other: Row) -> bool:
    return encoded(row.said) == encoded(other.said) and moment(row.event_time) == moment(
        other.event_time
    )


def _model(row: Row) -> str | None:
    return row.said.model_ref if row.said.HasField("model_ref") else None


def _without_outputs(said: EvalResult) -> EvalResult:
    row = deepcopy(said)
    for name in ("revision", "event_time", "record_time"):
        row.ClearField(name)
    return row


def _finish(experiment: Experiment, body: event_pb2.ArmFinished, _time: Any) -> None:
    arm = _known(experiment, body)
    arm.status = body.status
    for name in ("error", "train_seconds", "run_result"):
        arm.facts.pop(name, None)
        if body.HasField(name):
            arm.facts[name] = getattr(body, name)


def _annotate(experiment: Experiment, body: event_pb2.ArmAnnotated, _time: Any) -> None:
    arm = experiment.arm(body.arm)
    if arm is None:
        raise NaiveError("ARM_NOT_FOUND")
    arm.noted.change(body)
    arm.noted.put_in_group(arm.facts)


def _whole(experiment: Experiment, body: event_pb2.ArmRecorded, event_time: Any) -> None:
    said = deepcopy(body.arm_result)
    for name in ("experiment", "revision", "create_time", "update_time", "attempt", "tags"):
        said.ClearField(name)
    for row in said.evals:
        row.ClearField("revision")
        row.ClearField("record_time")
    arm = experiment.arm(said.name)
    if arm is not None and not body.replace:
        if arm.attempt is not None:
            raise NaiveError("ARM_HAS_ATTEMPTS")
        if arm.recorded_last == encoded(said):
            return
        _check_models(arm, said)
    if arm is None:
        arm = Arm(said.name)
        experiment.arms.append(arm)
    _become(arm, said, event_time, experiment.revision + 1)


def _check_models(arm: Arm, said: arm_result_pb2.ArmResult) -> None:
    """Raises if a row that is recorded again is of another model.

    Of several new rows with the same name and step, the first one counts.
    """
    new = [Row(row, None, 0) for row in said.evals]
    for row in arm.rows:
        same = [other for other in new if other.identity == row.identity]
        if same and _model(same[0]) != _model(row):
            raise NaiveError("MODEL_REF_CHANGED")


def _become(arm: Arm, said: arm_result_pb2.ArmResult, event_time: Any, revision: int) -> None:
    rows = _rows_of(arm, said, event_time, revision)
    arm.rows, arm.config, arm.status = rows, said.run_config, said.status
    arm.metrics, arm.given, arm.recorded_last = dict(said.metrics), None, encoded(said)
    arm.series = {}
    if not rows and (said.eval_metrics or said.eval_breakdowns):
        arm.given = arm_result_pb2.ArmResult(
            eval_metrics=said.eval_metrics, eval_breakdowns=said.eval_breakdowns
        )
    reported = {found.name: value for found, value in said.ListFields()}
    arm.facts = {name: reported[name] for name in _FACTS if name in reported}
    if said.HasField("annotations"):
        arm.noted = notes_of(said.annotations)
    arm.noted.put_in_group(arm.facts)


def _rows_of(arm: Arm, said: arm_result_pb2.ArmResult, event_time: Any, revision: int) -> list[Row]:
    """Returns the rows of an arm that is recorded as a whole.

    An old row is kept if its content is the same. In addition, this row and all rows before it
    must have the same order as in the old arm.
    """
    before = [row.identity for row in arm.rows]
    rows: list[Row] = []
    at, stays = -1, True
    for row in said.evals:
        content = _without_outputs(row)
        own = row.event_time if row.HasField("event_time") else None
        new = Row(content, own or event_time, revision)
        if new.identity in [row.identity for row in rows]:
            continue
        stays = stays and new.identity in before[at + 1 :]
        if stays:
            at = before.index(new.identity)
            old = arm.rows[at]
            same_time = own is None or moment(own) == moment(old.event_time)
            if encoded(old.said) == encoded(content) and same_time:
                new = old
        rows.append(new)
    return rows


_KINDS: dict[str, Callable[[Experiment, Any, Any], None]] = {
    "experiment_concluded": _conclude,
    "arm_started": _start,
    "metrics_recorded": _metrics,
    "eval_recorded": _eval,
    "arm_finished": _finish,
    "arm_recorded": _whole,
    "arm_annotated": _annotate,
}
