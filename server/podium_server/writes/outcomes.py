"""Records the end of an arm's training.

The end of an arm is never rejected because of its size, since the arm would then stay RUNNING.
Instead, texts that are too long are shortened, and a result that is too large is replaced by a
note.
"""

from collections.abc import Iterable
from typing import Literal, get_args

from podium._limits.event_checks import is_too_large
from podium._limits.limits import Limits
from podium._values.shorten_text import shorten_middle
from podium.v1.arm_result_pb2 import ArmResult
from podium.v1.event_pb2 import ArmFinished
from podium.v1.run_result_pb2 import RunResult

from podium_server.writes.encoding import encode
from podium_server.writes.state import ArmState

__all__ = ["finish", "shorten_errors"]

_Field = Literal["error", "train_seconds", "run_result"]
_FIELDS: tuple[_Field, ...] = get_args(_Field)
_LEAST_ERROR_BYTES = 1024
"""The bytes that are kept of an error text even if the arm has no room left."""
_NAME_BYTES = 256


def finish(arm: ArmState, event: ArmFinished, limits: Limits) -> None:
    """Records the end of an arm. Replaces every field of an earlier end."""
    facts = ArmResult.FromString(arm.part("facts"))
    for name in _FIELDS:
        facts.ClearField(name)
    others = arm.row.part_bytes - len(arm.part("facts"))
    outcome = _outcome(event)
    _fit(outcome, limits.arm_bytes - others - facts.ByteSize(), limits)
    facts.MergeFrom(outcome)
    arm.set_part("facts", encode(facts))
    arm.set_status(event.status)


def shorten_errors(arm: ArmResult, most_bytes: int) -> None:
    """Shortens each error text of an arm to at most `most_bytes` bytes."""
    for message in _with_errors(arm):
        message.error = _storable(message.error, most_bytes)


def _outcome(event: ArmFinished) -> ArmResult:
    outcome = ArmResult()
    for field, value in event.ListFields():
        if field.name == "run_result":
            outcome.run_result.CopyFrom(value)
        elif field.name in _FIELDS:
            setattr(outcome, field.name, value)
    return outcome


def _fit(outcome: ArmResult, room: int, limits: Limits) -> None:
    """Shortens an outcome so that it fits into `room` bytes.

    Keeps at least `_LEAST_ERROR_BYTES` of each error text, even if the outcome then does not fit.
    """
    shorten_errors(outcome, limits.error_bytes)
    if outcome.HasField("run_result") and is_too_large(outcome.run_result, limits):
        _reduce(outcome.run_result)
    if outcome.ByteSize() <= room:
        return
    errors = [len(message.error.encode()) for message in _with_errors(outcome)]
    least = sum(min(size, _LEAST_ERROR_BYTES) for size in errors)
    if outcome.HasField("run_result") and outcome.ByteSize() - sum(errors) + least > room:
        _reduce(outcome.run_result)
    errors = [len(message.error.encode()) for message in _with_errors(outcome)]
    if outcome.ByteSize() > room and errors:
        share = (room - outcome.ByteSize() + sum(errors)) // len(errors)
        shorten_errors(outcome, max(share, _LEAST_ERROR_BYTES))


def _with_errors(arm: ArmResult) -> Iterable[ArmResult | RunResult]:
    if arm.HasField("error"):
        yield arm
    if arm.HasField("run_result") and arm.run_result.HasField("error"):
        yield arm.run_result


def _reduce(result: RunResult) -> None:
    """Removes everything from a result except its id, status and error.

    Adds a note to the error.
    """
    note = f"run_result had {result.ByteSize():,} bytes, too many to be stored; it was left out"
    error = f"{note}\n{result.error}" if result.HasField("error") else note
    reduced = RunResult(
        run_id=_storable(result.run_id, _NAME_BYTES),
        status=_storable(result.status, _NAME_BYTES),
        error=_storable(error, _LEAST_ERROR_BYTES),
    )
    result.CopyFrom(reduced)


def _storable(text: str, most_bytes: int) -> str:
    """Shortens a text, and replaces NUL characters, which are not allowed in stored texts."""
    return shorten_middle(text.replace("\0", "\N{REPLACEMENT CHARACTER}"), most_bytes)
