"""Recognizes events that create an arm."""

from google.protobuf.message import DecodeError

from podium.v1.event_pb2 import Event

__all__ = ["begins_arm"]

_CREATES_ARM = frozenset({"arm_started", "arm_recorded"})


def begins_arm(payload: bytes) -> bool:
    """Returns whether a serialized event can create an arm: `ArmStarted` or `ArmRecorded`."""
    try:
        return Event.FromString(payload).WhichOneof("kind") in _CREATES_ARM
    except DecodeError:
        return False
