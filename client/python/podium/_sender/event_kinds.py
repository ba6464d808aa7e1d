"""Recognizes events that create an arm, record it with its rows, or may be one of these rows."""

from google.protobuf.message import DecodeError

from podium.v1.event_pb2 import Event

__all__ = ["begins_arm", "is_part_of_whole_arm", "is_whole_arm"]

_WHOLE_ARM = "arm_recorded"
_CREATES_ARM = frozenset({"arm_started", _WHOLE_ARM})


def begins_arm(payload: bytes) -> bool:
    """Returns whether a serialized event can create an arm: `ArmStarted` or `ArmRecorded`."""
    return _kind_of(payload) in _CREATES_ARM


def is_whole_arm(payload: bytes) -> bool:
    """Returns whether a serialized event records an arm with its rows: `ArmRecorded`."""
    return _kind_of(payload) == _WHOLE_ARM


def is_part_of_whole_arm(event: Event) -> bool:
    """Returns whether an event may be a row for which an `ArmRecorded` before it had no room."""
    return event.HasField("eval_recorded") and not event.eval_recorded.HasField("attempt_id")


def _kind_of(payload: bytes) -> str | None:
    try:
        return Event.FromString(payload).WhichOneof("kind")
    except DecodeError:
        return None
