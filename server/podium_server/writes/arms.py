"""What the events about an arm as a whole do."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, get_args

from google.protobuf.timestamp_pb2 import Timestamp
from podium._limits.checks import check_count
from podium._limits.limits import Limits
from podium._values.shorten import shorten_middle
from podium.errors import PodiumError
from podium.v1.arm_result_pb2 import ARM_STATUS_RUNNING, ArmResult, Attempt
from podium.v1.event_pb2 import ArmFinished, ArmRecorded, ArmStarted, MetricsRecorded

from podium_server.errors import failure
from podium_server.store.message_fields import config_digest
from podium_server.store.rows import PART_NAMES
from podium_server.writes import rows
from podium_server.writes.configs import changed_paths
from podium_server.writes.encoding import digest, encode, same_double
from podium_server.writes.state import ArmState, CallState

_Fact = Literal[
    "run_id",
    "error",
    "train_seconds",
    "eval_seconds",
    "run_result",
    "group_id",
    "group_name",
]
_FACTS: tuple[_Fact, ...] = get_args(_Fact)
_OUTCOME: tuple[_Fact, ...] = ("error", "train_seconds", "run_result")
_Output = Literal["experiment", "revision", "create_time", "update_time", "attempt"]
_OUTPUTS: tuple[_Output, ...] = get_args(_Output)

__all__ = [
    "check_attempt",
    "finish",
    "forget_outputs",
    "record_metrics",
    "record_whole",
    "start",
]


def check_attempt(arm: ArmState, attempt_id: str | None) -> None:
    """Refuses an event that names an attempt other than the newest."""
    if attempt_id is not None and attempt_id != arm.row.attempt_id:
        raise _stale(arm, f"attempt {attempt_id!r} is not the newest one")


def start(state: CallState, event: ArmStarted, limits: Limits) -> None:
    """Begins an attempt: a new arm, a repetition, or a newer attempt at a known arm."""
    arm = state.arm(event.arm)
    if arm is not None:
        if _is_newest(arm, event.attempt):
            return
        _check_start(arm, event)
    parts = _parts_at_start(arm, event)
    _check_size(event.arm, sum(map(len, parts.values())), limits)
    if arm is None:
        arm = state.create_arm(event.arm)
    else:
        _reset_rows(arm, event)
    _begin(arm, event, parts)


def record_metrics(arm: ArmState, event: MetricsRecorded, limits: Limits) -> None:
    """Takes over the latest value of each training metric."""
    kept = ArmResult.FromString(arm.part("metrics"))
    new = {
        key: value
        for key, value in event.metrics.items()
        if not same_double(kept.metrics.get(key), value)
    }
    if not new:
        return
    kept.metrics.update(new)
    check_count(len(kept.metrics), f"metrics of arm {arm.row.name!r}", limits.map_keys, "keys")
    _replace_part(arm, "metrics", encode(kept), limits)
    arm.note_metrics(new)


def finish(arm: ArmState, event: ArmFinished, limits: Limits) -> None:
    """Says how training ended; the last one stands, as a whole."""
    facts = ArmResult.FromString(arm.part("facts"))
    _clear(facts, _OUTCOME)
    facts.MergeFrom(_facts(event, _OUTCOME))
    _shorten_errors(facts, limits)
    _replace_part(arm, "facts", encode(facts), limits)
    arm.set_status(event.status)


def record_whole(
    state: CallState, event: ArmRecorded, event_time: Timestamp | None, limits: Limits
) -> None:
    """Makes the arm equal to the one given, which has no output-only fields any more."""
    result = event.arm_result
    evals = rows.first_of_each(list(result.evals))
    rows.check_mirror(result, evals)
    new_digest = digest(result)
    arm = state.arm(result.name)
    if arm is not None and not event.replace:
        if arm.row.attempt_id is not None:
            raise _has_attempts(arm)
        if arm.row.digest == new_digest:
            return
    parts = _parts_of(result, limits)
    _check_size(result.name, sum(map(len, parts.values())), limits)
    arm = arm or state.create_arm(result.name)
    _become(arm, result, parts)
    rows.replace_all(arm, evals, event_time)
    arm.set_digest(new_digest)


def forget_outputs(result: ArmResult) -> None:
    """Clears the output-only fields of an arm and its rows: in a request they say nothing.

    Only when a row was measured is kept: the writer alone knows that.
    """
    for name in _OUTPUTS:
        result.ClearField(name)
    for row in result.evals:
        rows.forget_outputs(row, keep_time=True)


def _is_newest(arm: ArmState, attempt: Attempt) -> bool:
    """Whether this very attempt has begun already."""
    row = arm.row
    if row.attempt_id != attempt.id:
        return False
    if row.attempt_order != attempt.order:
        raise _stale(arm, f"attempt {attempt.id!r} began with another order than {attempt.order}")
    return True


def _check_start(arm: ArmState, event: ArmStarted) -> None:
    row, attempt = arm.row, event.attempt
    if row.attempt_order is not None and attempt.order <= row.attempt_order:
        raise _stale(arm, f"attempt {attempt.id!r} of order {attempt.order} is not newer")
    if arm.finished and event.WhichOneof("mode") is None:
        raise failure(
            "ARM_FINISHED",
            f"arm {row.name!r} has finished; start it with resume_step to keep its results up "
            "to that step, or with restart to begin anew",
            arm=row.name,
        )
    paths = changed_paths(arm.part("config"), event.run_config)
    if paths:
        raise failure(
            "RUN_CONFIG_CHANGED",
            f"the run_config of arm {row.name!r} differs from the recorded one in "
            f"{', '.join(paths[:10])}; give another configuration another arm name",
            arm=row.name,
            paths=",".join(paths[:10]),
        )


def _parts_at_start(arm: ArmState | None, event: ArmStarted) -> dict[str, bytes]:
    """What an arm consists of once the attempt has begun."""
    before = {name: b"" if arm is None else arm.part(name) for name in PART_NAMES}
    resumes = event.WhichOneof("mode") == "resume_step"
    facts = ArmResult.FromString(before["facts"])
    _clear(facts, (*_OUTCOME, "eval_seconds") if resumes else (*_OUTCOME, "eval_seconds", "run_id"))
    facts.MergeFrom(_facts(event, _FACTS))
    has_rows = arm is not None and arm.row.eval_count > 0
    return {
        "config": encode(event.run_config),
        "facts": encode(facts),
        "metrics": before["metrics"] if resumes else b"",
        "given": before["given"] if resumes and not has_rows else b"",
    }


def _reset_rows(arm: ArmState, event: ArmStarted) -> None:
    if event.WhichOneof("mode") != "resume_step":
        arm.clear_rows()
    elif arm.row.eval_count:
        arm.cut_rows(event.resume_step)


def _begin(arm: ArmState, event: ArmStarted, parts: Mapping[str, bytes]) -> None:
    row = arm.row
    for name, content in parts.items():
        arm.set_part(name, content)
    if event.HasField("group_name"):
        row.group_name = event.group_name
    row.tags = tuple(event.run_config.tags)
    row.digest = None
    row.config_digest = config_digest(parts["config"])
    row.attempt_id = event.attempt.id
    row.attempt_order = event.attempt.order
    arm.set_status(ARM_STATUS_RUNNING)
    arm.touch()


def _facts(source: ArmResult | ArmStarted | ArmFinished, names: Sequence[str]) -> ArmResult:
    return ArmResult(**{f.name: value for f, value in source.ListFields() if f.name in names})


def _clear(facts: ArmResult, names: Iterable[_Fact]) -> None:
    for name in names:
        facts.ClearField(name)


def _parts_of(result: ArmResult, limits: Limits) -> dict[str, bytes]:
    """What a whole arm consists of, beside its rows."""
    facts, given, metrics = _facts(result, _FACTS), ArmResult(), ArmResult()
    if not result.evals:
        given.eval_metrics.MergeFrom(result.eval_metrics)
        given.eval_breakdowns.MergeFrom(result.eval_breakdowns)
    metrics.metrics.MergeFrom(result.metrics)
    _shorten_errors(facts, limits)
    parts = {"config": result.run_config, "facts": facts, "given": given, "metrics": metrics}
    return {name: encode(content) for name, content in parts.items()}


def _become(arm: ArmState, result: ArmResult, parts: Mapping[str, bytes]) -> None:
    changed = [arm.set_part(name, content) for name, content in parts.items()]
    if any(changed):
        arm.unsettle_primary()
    arm.row.group_name = result.group_name if result.HasField("group_name") else None
    arm.row.tags = tuple(result.run_config.tags)
    arm.row.config_digest = config_digest(parts["config"])
    arm.set_status(result.status)


def _shorten_errors(facts: ArmResult, limits: Limits) -> None:
    if facts.HasField("error"):
        facts.error = _storable(facts.error, limits)
    if facts.HasField("run_result") and facts.run_result.HasField("error"):
        facts.run_result.error = _storable(facts.run_result.error, limits)


def _storable(error: str, limits: Limits) -> str:
    """Returns an error text that stores can hold: shortened, and without NUL."""
    return shorten_middle(error.replace("\0", "\N{REPLACEMENT CHARACTER}"), limits.error_bytes)


def _replace_part(arm: ArmState, name: str, content: bytes, limits: Limits) -> None:
    """Writes a part; refuses before it does if the arm would become too large."""
    size = arm.row.part_bytes + len(content) - len(arm.part(name))
    _check_size(arm.row.name, size, limits)
    arm.set_part(name, content)


def _check_size(name: str, size: int, limits: Limits) -> None:
    check_count(size, f"arm {name!r} without its rows", limits.arm_bytes, "bytes")


def _stale(arm: ArmState, what: str) -> PodiumError:
    row = arm.row
    newest = f"{row.attempt_id!r} of order {row.attempt_order}" if row.attempt_id else "none"
    return failure(
        "STALE_ATTEMPT",
        f"{what}: the newest attempt at arm {row.name!r} is {newest}",
        arm=row.name,
        newest_attempt=row.attempt_id or "",
        newest_order=str(row.attempt_order or 0),
    )


def _has_attempts(arm: ArmState) -> PodiumError:
    return failure(
        "ARM_HAS_ATTEMPTS",
        f"arm {arm.row.name!r} was started by a trainer, attempt {arm.row.attempt_id!r}; record "
        "it under another name, or say replace to overwrite what was recorded",
        arm=arm.row.name,
    )
