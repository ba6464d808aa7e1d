"""Decides which attempt of an arm is the newest, and whether another attempt may start."""

from datetime import UTC, datetime

from podium._wire.changed_paths import add_paths, paths_metadata
from podium.errors import PodiumError
from podium.v1.arm_result_pb2 import (
    ARM_STATUS_CANCELLED,
    ARM_STATUS_COMPLETED,
    ARM_STATUS_FAILED,
    ARM_STATUS_RUNNING,
    ArmResult,
    Attempt,
)
from podium.v1.event_pb2 import ArmStarted
from podium.v1.recording_service_pb2 import ReplacedAttempt

from podium_server.errors import failure
from podium_server.writes.run_config_changes import changed_paths
from podium_server.writes.state import ArmState

__all__ = ["check_named", "check_order", "check_start", "is_newest", "is_resumed", "replaced"]

_DAY_MS = 24 * 60 * 60 * 1000
_FIRST_TIME_MS = 946_684_800_000
"""The year 2000, in milliseconds since 1970.

An order of at least this number is a time; a smaller order is a restart count.
"""
_UNSUCCESSFUL = (ARM_STATUS_FAILED, ARM_STATUS_CANCELLED)


def check_named(arm: ArmState, attempt_id: str | None) -> None:
    """Raises STALE_ATTEMPT if an event names an attempt other than the newest."""
    if attempt_id is not None and attempt_id != arm.row.attempt_id:
        raise _stale(
            arm,
            f"attempt {attempt_id!r} is not the newest attempt of arm {arm.row.name!r}. Use "
            "another arm name for each training run; deliver rejected results with "
            "`podium outbox retry --as NAME`",
        )


def is_newest(arm: ArmState, attempt: Attempt) -> bool:
    """Returns whether `attempt` is the arm's newest attempt.

    Raises STALE_ATTEMPT if the newest attempt has the same id but another order.
    """
    row = arm.row
    if row.attempt_id != attempt.id:
        return False
    if row.attempt_order != attempt.order:
        raise _stale(
            arm,
            f"attempt {attempt.id!r} of arm {row.name!r} has already started with order "
            f"{_shown(row.attempt_order or 0)}, and cannot start again with order "
            f"{_shown(attempt.order)}; use a new attempt id",
        )
    return True


def is_resumed(event: ArmStarted) -> bool:
    """Returns whether the attempt keeps the arm's results up to a step."""
    return event.WhichOneof("mode") == "resume_step"


def check_order(attempt: Attempt, now: int) -> None:
    """Raises FIELD_OUT_OF_RANGE if the order lies more than a day ahead of the server's clock.

    After such an attempt, no attempt with a correct order could start, so the arm would be blocked.
    """
    latest = now // 1000 + _DAY_MS
    if attempt.order > latest:
        field = "arm_started.attempt.order"
        raise failure(
            "FIELD_OUT_OF_RANGE",
            f"{field} is {_shown(attempt.order)}, more than a day ahead of the server's clock; "
            f"give the start time in milliseconds since 1970 or a restart count, {latest} at most",
            field=field,
        )


def check_start(arm: ArmState, event: ArmStarted) -> None:
    """Raises an error if the state of the arm does not allow a new attempt."""
    _check_is_newer(arm, event.attempt)
    if arm.row.status == ARM_STATUS_COMPLETED and event.WhichOneof("mode") is None:
        raise _finished(arm)
    if is_resumed(event) or arm.row.status not in _UNSUCCESSFUL:
        _check_config(arm, event)


def replaced(arm: ArmState, index: int, now: int) -> list[ReplacedAttempt]:
    """Returns the running attempt that the event with this index replaces, or an empty list."""
    row = arm.row
    if row.status != ARM_STATUS_RUNNING or row.attempt_id is None:
        return []
    provenance = ArmResult.FromString(arm.part("facts")).provenance
    return [
        ReplacedAttempt(
            event_index=index,
            attempt=Attempt(id=row.attempt_id, order=row.attempt_order),
            quiet_seconds=max(now - row.last_heard, 0) / 1_000_000,
            host=provenance.host if provenance.HasField("host") else None,
        )
    ]


def _check_is_newer(arm: ArmState, attempt: Attempt) -> None:
    newest = arm.row.attempt_order
    if newest is not None and attempt.order <= newest:
        raise _stale(
            arm,
            f"attempt {attempt.id!r} of arm {arm.row.name!r} cannot start with order "
            f"{_shown(attempt.order)}, because the newest attempt has an equal or greater order. "
            "Give the attempt a greater order. If its results wait in an outbox, "
            "`podium outbox retry --restart` makes it the newest and delivers them",
        )


def _finished(arm: ArmState) -> PodiumError:
    name = arm.row.name
    return failure(
        "ARM_FINISHED",
        f"arm {name!r} is completed. To train it again, start it with resume_step, which keeps "
        "its results up to that step, or with restart, which deletes its results. If this run has "
        "recorded results, they wait in its outbox: `podium outbox retry --as NAME` records them "
        "as another arm, and `podium outbox retry --restart` replaces the results of this arm",
        arm=name,
    )


def _check_config(arm: ArmState, event: ArmStarted) -> None:
    paths = changed_paths(arm.part("config"), event.run_config)
    if not paths:
        return
    fields = "1 field" if len(paths) == 1 else f"{len(paths)} fields"
    name, listed = arm.row.name, paths_metadata(paths)
    text = (
        f"the run_config of arm {name!r} differs from the recorded one in {fields}. "
        f"{_other_ways(arm)}"
    )
    raise failure("RUN_CONFIG_CHANGED", add_paths(text, listed), arm=name, **listed)


def _other_ways(arm: ArmState) -> str:
    """Returns the end of an error message: how a user can record another configuration."""
    as_other = (
        "Record another configuration under another arm name; `podium outbox retry --as NAME` does "
        "that with rejected results"
    )
    if arm.row.status in _UNSUCCESSFUL:
        return f"{as_other}. Or start the arm from the beginning, without resume_step"
    if arm.row.status == ARM_STATUS_COMPLETED:
        return f"{as_other}. Or delete the arm with `podium delete`, and start it again"
    return (
        f"{as_other}. Or end its running attempt with `podium finish --status failed`, and start "
        "it from the beginning"
    )


def _stale(arm: ArmState, problem: str) -> PodiumError:
    row = arm.row
    newest = "none"
    if row.attempt_id is not None:
        newest = f"{row.attempt_id!r} with order {_shown(row.attempt_order or 0)}"
    return failure(
        "STALE_ATTEMPT",
        f"{problem}. Newest attempt: {newest}",
        arm=row.name,
        newest_attempt=row.attempt_id or "",
        newest_order=str(row.attempt_order or 0),
    )


def _shown(order: int) -> str:
    """Returns an order as text.

    If the order is a time in milliseconds, the text includes that time in UTC.
    """
    try:
        time = datetime.fromtimestamp(order / 1000, UTC) if order >= _FIRST_TIME_MS else None
    except (OverflowError, ValueError, OSError):
        time = None
    return str(order) if time is None else f"{order} ({time:%Y-%m-%d %H:%M:%S} UTC)"
