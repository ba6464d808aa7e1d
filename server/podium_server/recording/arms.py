"""What the events about an arm as a whole do."""

from collections.abc import Iterable, Sequence
from typing import Literal, get_args

from google.protobuf.timestamp_pb2 import Timestamp
from podium.errors import PodiumError
from podium.v1.arm_result_pb2 import ARM_STATUS_RUNNING, ArmResult
from podium.v1.event_pb2 import ArmFinished, ArmRecorded, ArmStarted, MetricsRecorded
from podium.v1.run_config_pb2 import RunConfig

from podium_server.failures import failure
from podium_server.recording import rows
from podium_server.recording.configs import changed_paths
from podium_server.recording.state import ArmState, CallState
from podium_server.recording.values import digest, encode, same_double, shorten
from podium_server.validate import Limits, check_count

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

__all__ = ["check_attempt", "finish", "record_metrics", "record_whole", "start"]


def check_attempt(arm: ArmState, attempt_id: str | None) -> None:
    """Refuses an event that names an attempt other than the newest."""
    if attempt_id is not None and attempt_id != arm.row.attempt_id:
        raise _stale(arm, f"attempt {attempt_id!r} is not the newest one")


def start(state: CallState, event: ArmStarted, limits: Limits) -> None:
    """Begins an attempt: a new arm, a repetition, or a newer attempt at a known arm."""
    arm = state.arm(event.arm)
    if arm is None:
        arm = state.create_arm(event.arm)
    else:
        _check_start(arm, event)
        if arm.row.attempt_id == event.attempt.id:
            return
        _reset(arm, event)
    _describe(arm, event)
    arm.row.digest = None
    arm.row.attempt_id = event.attempt.id
    arm.row.attempt_order = event.attempt.order
    arm.set_status(ARM_STATUS_RUNNING)
    arm.touch()
    _check_arm(arm, limits)


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
    arm.set_part("metrics", encode(kept))
    arm.note_metrics(new)
    _check_arm(arm, limits)


def finish(arm: ArmState, event: ArmFinished, limits: Limits) -> None:
    """Says how training ended; the last one stands, as a whole."""
    facts = ArmResult.FromString(arm.part("facts"))
    _clear(facts, _OUTCOME)
    facts.MergeFrom(_facts(event, _OUTCOME))
    _shorten_errors(facts, limits)
    arm.set_part("facts", encode(facts))
    arm.set_status(event.status)
    _check_arm(arm, limits)


def record_whole(
    state: CallState, event: ArmRecorded, event_time: Timestamp | None, limits: Limits
) -> None:
    """Makes the arm equal to the one given."""
    result = event.arm_result
    evals = rows.first_of_each(list(result.evals))
    rows.check_mirror(result, evals)
    told = digest(result)
    arm = state.arm(result.name)
    if arm is None:
        arm = state.create_arm(result.name)
    elif not event.replace:
        if arm.row.attempt_id is not None:
            raise _has_attempts(arm)
        if arm.row.digest == told:
            return
    _become(arm, result, limits)
    rows.replace_all(arm, evals, event_time)
    arm.set_digest(told)
    _check_arm(arm, limits)


def _check_start(arm: ArmState, event: ArmStarted) -> None:
    row, attempt = arm.row, event.attempt
    if row.attempt_id == attempt.id and row.attempt_order != attempt.order:
        raise _stale(arm, f"attempt {attempt.id!r} began with another order than {attempt.order}")
    newer = row.attempt_order is None or attempt.order > row.attempt_order
    if row.attempt_id != attempt.id and not newer:
        raise _stale(arm, f"attempt {attempt.id!r} of order {attempt.order} is not newer")
    if row.attempt_id != attempt.id and arm.finished and event.WhichOneof("mode") is None:
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


def _reset(arm: ArmState, event: ArmStarted) -> None:
    facts = ArmResult.FromString(arm.part("facts"))
    _clear(facts, (*_OUTCOME, "eval_seconds"))
    if event.WhichOneof("mode") == "resume_step":
        if arm.row.eval_count:
            arm.set_part("given", b"")
            arm.cut_rows(event.resume_step)
    else:
        facts.ClearField("run_id")
        arm.set_part("given", b"")
        arm.set_part("metrics", b"")
        arm.clear_rows()
    arm.set_part("facts", encode(facts))


def _describe(arm: ArmState, event: ArmStarted) -> None:
    facts = ArmResult.FromString(arm.part("facts"))
    if event.HasField("run_id"):
        facts.run_id = event.run_id
    if event.HasField("group_id"):
        facts.group_id = event.group_id
    if event.HasField("group_name"):
        facts.group_name = event.group_name
    arm.set_part("facts", encode(facts))
    _index(arm, facts, event.run_config)
    arm.set_part("config", encode(event.run_config))


def _facts(source: ArmResult | ArmFinished, names: Sequence[str]) -> ArmResult:
    return ArmResult(**{f.name: value for f, value in source.ListFields() if f.name in names})


def _clear(facts: ArmResult, names: Iterable[_Fact]) -> None:
    for name in names:
        facts.ClearField(name)


def _index(arm: ArmState, facts: ArmResult, config: RunConfig) -> None:
    arm.row.group_name = facts.group_name if facts.HasField("group_name") else None
    arm.row.tags = tuple(config.tags)


def _become(arm: ArmState, result: ArmResult, limits: Limits) -> None:
    facts, given, metrics = _facts(result, _FACTS), ArmResult(), ArmResult()
    if not result.evals:
        given.eval_metrics.MergeFrom(result.eval_metrics)
        given.eval_breakdowns.MergeFrom(result.eval_breakdowns)
    metrics.metrics.MergeFrom(result.metrics)
    _shorten_errors(facts, limits)
    _index(arm, facts, result.run_config)
    parts = {"config": result.run_config, "facts": facts, "given": given, "metrics": metrics}
    changed = [arm.set_part(name, encode(content)) for name, content in parts.items()]
    if any(changed):
        arm.unsettle_primary()
    arm.set_status(result.status)


def _shorten_errors(facts: ArmResult, limits: Limits) -> None:
    if facts.HasField("error"):
        facts.error = shorten(facts.error, limits.error_bytes)
    if facts.HasField("run_result") and facts.run_result.HasField("error"):
        facts.run_result.error = shorten(facts.run_result.error, limits.error_bytes)


def _check_arm(arm: ArmState, limits: Limits) -> None:
    what = f"arm {arm.row.name!r} without its rows"
    check_count(arm.row.part_bytes, what, limits.arm_bytes, "bytes")


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
