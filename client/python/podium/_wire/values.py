"""Converts values, times and enums to and from podium.v1."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar

from google.protobuf.message import Message
from google.protobuf.struct_pb2 import NULL_VALUE
from google.protobuf.timestamp_pb2 import Timestamp

from podium._values import coerce
from podium._values.enums import ArmStatus, Direction, ExperimentStatus, RankFlag, Role, ScoreOrigin
from podium.v1 import arm_result_pb2, experiment_pb2, ranking_pb2, score_pb2, token_pb2, value_pb2

__all__ = [
    "ARM_STATUS",
    "EXPERIMENT_STATUS",
    "RANK_FLAG",
    "ROLE",
    "SCORE_ORIGIN",
    "Field",
    "arm_status_from_proto",
    "arm_status_to_proto",
    "direction_from_proto",
    "direction_to_proto",
    "experiment_status_from_proto",
    "experiment_status_to_proto",
    "fill_values",
    "get",
    "maybe",
    "timestamp_from_proto",
    "timestamp_to_proto",
    "value_from_proto",
    "value_to_proto",
    "values_from_proto",
    "values_to_proto",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_T = TypeVar("_T")
_G = TypeVar("_G")


def get(message: Message, name: str) -> Any:
    """Returns the value of an optional field, or None if the field is not set."""
    return getattr(message, name) if message.HasField(name) else None


def maybe(convert: Callable[[_G], _T], given: _G | None) -> _T | None:
    """Converts a value with `convert`. None stays None."""
    return None if given is None else convert(given)


def value_to_proto(value: Any) -> value_pb2.Value:
    """Converts a value to a message. Raises a TypeError or ValueError if it is not a value."""
    return _plain_to_proto(coerce.value(value, "value"))


def value_from_proto(message: value_pb2.Value) -> Any:
    """Converts a message to a value: None, bool, int, float, str, or a list or dict of values."""
    kind = message.WhichOneof("kind")
    if kind is None or kind == "null_value":
        return None
    if kind == "list_value":
        return [value_from_proto(item) for item in message.list_value.values]
    if kind == "map_value":
        return values_from_proto(message.map_value.entries)
    return getattr(message, kind)


def values_to_proto(values: Mapping[Any, Any], where: str = "values") -> dict[str, value_pb2.Value]:
    """Converts a dict of values to a dict of messages. `where` is the dict's name in errors."""
    plain = coerce.value_map(values, where)
    return {key: _plain_to_proto(item) for key, item in plain.items()}


def fill_values(entries: Any, values: Mapping[Any, Any], where: str) -> None:
    """Writes a dict of values into an empty map field. `where` is the dict's name in errors."""
    for key, item in coerce.value_map(values, where).items():
        _set(entries[key], item)


def values_from_proto(messages: Mapping[str, value_pb2.Value]) -> dict[str, Any]:
    """Converts a map field to a dict of values, sorted by key."""
    return {key: value_from_proto(messages[key]) for key in sorted(messages)}


def _plain_to_proto(value: Any) -> value_pb2.Value:
    message = value_pb2.Value()
    _set(message, value)
    return message


def _set(message: value_pb2.Value, value: Any) -> None:
    if value is None:
        message.null_value = NULL_VALUE
    elif isinstance(value, bool):
        message.bool_value = value
    elif isinstance(value, int):
        message.int_value = value
    elif isinstance(value, float):
        message.double_value = value
    elif isinstance(value, str):
        message.string_value = value
    else:
        _set_container(message, value)


def _set_container(message: value_pb2.Value, value: list[Any] | dict[str, Any]) -> None:
    if isinstance(value, list):
        message.list_value.SetInParent()
        for item in value:
            _set(message.list_value.values.add(), item)
    else:
        message.map_value.SetInParent()
        for key, item in value.items():
            _set(message.map_value.entries[key], item)


def timestamp_to_proto(moment: datetime) -> Timestamp:
    """Converts a time to a message. Raises a ValueError if the time has no time zone."""
    if moment.tzinfo is None:
        raise ValueError(f"the time {moment.isoformat()} has no time zone; give one, such as UTC")
    message = Timestamp()
    message.FromDatetime(moment)
    return message


def timestamp_from_proto(message: Timestamp) -> datetime:
    """Converts a message to a time in UTC, rounded down to whole microseconds."""
    return _EPOCH + timedelta(seconds=message.seconds, microseconds=message.nanos // 1000)


# ---- Enums -----------------------------------------------------------------------------


class Field(NamedTuple):
    """Two functions that convert the value of a field: to its value in a message, and back.

    Neither is called with None.
    """

    to_proto: Callable[[Any], Any]
    from_proto: Callable[[Any], Any]


def _enum(enum: type[StrEnum], wrapper: Any, where: str) -> Field:
    """Returns the Field of an enum. `ArmStatus.FAILED` is `ARM_STATUS_FAILED` in the proto."""
    prefix = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", enum.__name__).upper()
    numbers = {member: wrapper.Value(f"{prefix}_{member.name}") for member in enum}
    members = {number: member for member, number in numbers.items()}
    member_of = coerce.member_of(enum)
    return Field(
        lambda given: numbers[member_of(given, where)],
        lambda number: members.get(number, f"unknown({number})"),
    )


ARM_STATUS = _enum(ArmStatus, arm_result_pb2.ArmStatus, "status")
DIRECTION = _enum(Direction, experiment_pb2.Direction, "direction")
EXPERIMENT_STATUS = _enum(ExperimentStatus, experiment_pb2.ExperimentStatus, "status")
RANK_FLAG = _enum(RankFlag, ranking_pb2.RankFlag, "flag")
ROLE = _enum(Role, token_pb2.Role, "role")
SCORE_ORIGIN = _enum(ScoreOrigin, score_pb2.ScoreOrigin, "origin")

arm_status_to_proto, arm_status_from_proto = ARM_STATUS
experiment_status_to_proto, experiment_status_from_proto = EXPERIMENT_STATUS


def direction_to_proto(direction: str | None) -> Any:
    """Returns the number of a direction in the proto. None becomes the number of UNSPECIFIED."""
    return (
        experiment_pb2.DIRECTION_UNSPECIFIED if direction is None else DIRECTION.to_proto(direction)
    )


def direction_from_proto(number: int) -> str | None:
    """Returns the direction that has a number in the proto. UNSPECIFIED becomes None."""
    return DIRECTION.from_proto(number) if number else None
