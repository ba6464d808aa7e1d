"""Applies the events ArmStarted, MetricsRecorded and ArmRecorded."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from google.protobuf.timestamp_pb2 import Timestamp
from podium._limits.checks import check_count
from podium._limits.limits import Limits
from podium.errors import PodiumError
from podium.v1.arm_result_pb2 import ARM_STATUS_RUNNING, ArmResult
from podium.v1.event_pb2 import ArmRecorded, ArmStarted, MetricsRecorded

from podium_server.errors import failure
from podium_server.store.message_fields import config_digest
from podium_server.store.rows import PART_NAMES, EvalKey
from podium_server.writes import annotations, attempts, outcomes, rows
from podium_server.writes.call_state import CallState
from podium_server.writes.encoding import digest, encode, same_double
from podium_server.writes.state import ArmState

_Fact = Literal[
    "run_id",
    "error",
    "train_seconds",
    "eval_seconds",
    "run_result",
    "group_id",
    "group_name",
    "annotations",
    "provenance",
]
_FACTS: tuple[_Fact, ...] = get_args(_Fact)
_ATTEMPT_FACTS: tuple[_Fact, ...] = (
    "error",
    "train_seconds",
    "run_result",
    "eval_seconds",
    "provenance",
)
"""The fields of an attempt's results that the next attempt does not keep."""
_Output = Literal[
    "experiment", "revision", "create_time", "update_time", "attempt", "last_heard", "tags"
]
_OUTPUTS: tuple[_Output, ...] = get_args(_Output)

__all__ = ["WholeArm", "read_whole", "record_metrics", "record_whole", "start"]


def start(state: CallState, index: int, event: ArmStarted, limits: Limits) -> None:
    """Starts an attempt. Creates the arm if it does not exist.

    Changes nothing if the attempt has already started. If another attempt was running, adds that
    attempt to the replaced attempts of the call.
    """
    arm = state.arm(event.arm)
    if arm is not None and attempts.is_newest(arm, event.attempt):
        arm.hear()
        return
    attempts.check_order(event.attempt, state.progress.now)
    if arm is not None:
        attempts.check_start(arm, event)
    parts = _parts_at_start(arm, event)
    _check_size(sum(map(len, parts.values())), event.arm, "arm_started", limits)
    if arm is None:
        arm = state.create_arm(event.arm)
    else:
        state.replaced.extend(attempts.replaced(arm, index, state.progress.now))
        _remove_rows(arm, event)
    _begin(arm, event, parts)


def record_metrics(arm: ArmState, event: MetricsRecorded, limits: Limits) -> None:
    """Records the latest values of training metrics.

    If the event has a step, also records points of the training series.
    """
    kept = ArmResult.FromString(arm.part("metrics"))
    points = _new_points(arm, event)
    new = {
        key: value for key, value in points.items() if not same_double(kept.metrics.get(key), value)
    }
    if new:
        _set_latest(arm, kept, new, limits)
    if points and event.HasField("step"):
        arm.write_points(event.step, points)


def _new_points(arm: ArmState, event: MetricsRecorded) -> dict[str, float]:
    """Returns the values of an event, except points that are already stored with the same value."""
    values = dict(event.metrics)
    if event.HasField("step"):
        for key in event.metrics:
            if same_double(arm.value_at(event.step, key), values[key]):
                del values[key]
    return values


def _set_latest(arm: ArmState, kept: ArmResult, new: dict[str, float], limits: Limits) -> None:
    """Sets the latest values of training metrics, or raises an error and changes nothing."""
    known = len(kept.metrics)
    kept.metrics.update(new)
    field = "metrics_recorded.metrics"
    if len(kept.metrics) > known:
        name = f"{field} (with those that arm {arm.row.name!r} has)"
        check_count(len(kept.metrics), field, limits.map_keys, "keys", name=name)
    content = encode(kept)
    growth = len(content) - len(arm.part("metrics"))
    if growth > 0:
        _check_size(arm.row.part_bytes + growth, arm.row.name, field, limits)
    arm.set_part("metrics", content)
    arm.note_metrics(new)


@dataclass(slots=True)
class WholeArm:
    """A parsed ArmRecorded. Parsing before the transaction keeps the transaction short."""

    result: ArmResult
    replace: bool
    rows: dict[EvalKey, rows.WholeRow]
    digest: bytes


def read_whole(event: ArmRecorded) -> WholeArm:
    """Parses an event with a whole arm, and clears the arm's output-only fields."""
    result = event.arm_result
    _clear_outputs(result)
    return WholeArm(result, event.replace, rows.read_all(result), digest(result))


def record_whole(
    state: CallState, whole: WholeArm, event_time: Timestamp | None, limits: Limits
) -> None:
    """Makes an arm equal to a whole arm. Creates the arm if it does not exist.

    Unless `whole.replace` is set, raises ARM_HAS_ATTEMPTS if the arm has attempts, and
    MODEL_REF_CHANGED if the model_ref of a row would change.
    """
    result = whole.result
    rows.check_mirror(result)
    arm = state.arm(result.name)
    if arm is not None and not whole.replace:
        if arm.row.attempt_id is not None:
            raise _has_attempts(arm)
        if arm.row.digest == whole.digest:
            return
        rows.check_model_refs(arm, whole.rows)
    parts = _parts_of(result, arm, limits)
    size = sum(map(len, parts.values()))
    _check_size(size, result.name, "arm_recorded.arm_result", limits)
    if arm is None:
        arm = state.create_arm(result.name)
    else:
        arm.cut_points(None)
    _become(arm, result, parts)
    rows.replace_all(arm, whole.rows, event_time)
    arm.set_digest(whole.digest)


def _clear_outputs(result: ArmResult) -> None:
    """Clears the fields of an arm and its rows that only the server may set.

    A row keeps its event_time, since the writer sets it.
    """
    for name in _OUTPUTS:
        result.ClearField(name)
    for row in result.evals:
        rows.clear_outputs(row, keep_time=True)


def _parts_at_start(arm: ArmState | None, event: ArmStarted) -> dict[str, bytes]:
    """Returns the parts that the arm has after the start of the attempt."""
    before = {name: b"" if arm is None else arm.part(name) for name in PART_NAMES}
    resumes = attempts.is_resumed(event)
    facts = ArmResult.FromString(before["facts"])
    _clear(facts, _ATTEMPT_FACTS if resumes else (*_ATTEMPT_FACTS, "run_id"))
    facts.MergeFrom(_facts(event, _FACTS))
    annotations.apply_to_facts(facts)
    has_rows = arm is not None and arm.row.eval_count > 0
    return {
        "config": encode(event.run_config),
        "facts": encode(facts),
        "metrics": before["metrics"] if resumes else b"",
        "given": before["given"] if resumes and not has_rows else b"",
    }


def _remove_rows(arm: ArmState, event: ArmStarted) -> None:
    if not attempts.is_resumed(event):
        arm.clear_rows()
        arm.cut_points(None)
        return
    arm.cut_points(event.resume_step)
    if arm.row.eval_count:
        arm.cut_rows(event.resume_step)


def _begin(arm: ArmState, event: ArmStarted, parts: Mapping[str, bytes]) -> None:
    row = arm.row
    for name, content in parts.items():
        arm.set_part(name, content)
    annotations.set_labels(arm)
    row.digest = None
    row.config_digest = config_digest(parts["config"])
    row.attempt_id = event.attempt.id
    row.attempt_order = event.attempt.order
    arm.set_status(ARM_STATUS_RUNNING)
    arm.touch()


def _facts(source: ArmResult | ArmStarted, names: Sequence[str]) -> ArmResult:
    return ArmResult(**{f.name: value for f, value in source.ListFields() if f.name in names})


def _clear(facts: ArmResult, names: Iterable[_Fact]) -> None:
    for name in names:
        facts.ClearField(name)


def _parts_of(result: ArmResult, arm: ArmState | None, limits: Limits) -> dict[str, bytes]:
    """Returns the parts of a whole arm: everything but its rows."""
    facts, given, metrics = _facts(result, _FACTS), ArmResult(), ArmResult()
    if arm is not None and not facts.HasField("annotations"):
        facts.MergeFrom(_facts(ArmResult.FromString(arm.part("facts")), ["annotations"]))
    annotations.apply_to_facts(facts)
    if not result.evals:
        given.eval_metrics.MergeFrom(result.eval_metrics)
        given.eval_breakdowns.MergeFrom(result.eval_breakdowns)
    metrics.metrics.MergeFrom(result.metrics)
    outcomes.shorten_errors(facts, limits.error_bytes)
    parts = {"config": result.run_config, "facts": facts, "given": given, "metrics": metrics}
    return {name: encode(content) for name, content in parts.items()}


def _become(arm: ArmState, result: ArmResult, parts: Mapping[str, bytes]) -> None:
    changed = [arm.set_part(name, content) for name, content in parts.items()]
    if any(changed):
        arm.mark_primary_stale()
    annotations.set_labels(arm)
    arm.row.config_digest = config_digest(parts["config"])
    arm.set_status(result.status)


def _check_size(size: int, arm: str, field: str, limits: Limits) -> None:
    name = f"arm {arm!r} without its rows"
    check_count(size, field, limits.arm_bytes, "bytes", name=name)


def _has_attempts(arm: ArmState) -> PodiumError:
    return failure(
        "ARM_HAS_ATTEMPTS",
        f"arm {arm.row.name!r} was started by a training run (attempt {arm.row.attempt_id!r}); "
        "record your results under another arm name, or set replace to overwrite those of the run",
        arm=arm.row.name,
    )
