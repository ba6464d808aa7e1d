"""Converts values, times and enums to and from podium.v1; part of `podium._wire.codec`."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol, TypeVar

from google.protobuf.message import Message
from google.protobuf.struct_pb2 import NULL_VALUE
from google.protobuf.timestamp_pb2 import Timestamp

from podium._values import coerce
from podium._values.enums import ArmStatus, Direction, ExperimentStatus, RankFlag, ScoreOrigin
from podium.v1 import arm_result_pb2, experiment_pb2, ranking_pb2, score_pb2, value_pb2

__all__ = [
    "arm_status_from_proto",
    "arm_status_to_proto",
    "direction_from_proto",
    "direction_to_proto",
    "experiment_status_from_proto",
    "experiment_status_to_proto",
    "fill_values",
    "get",
    "maybe",
    "rank_flag_from_proto",
    "rank_flag_to_proto",
    "score_origin_from_proto",
    "score_origin_to_proto",
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
_E = TypeVar("_E", bound=StrEnum)
_N = TypeVar("_N", bound=int)
_N_co = TypeVar("_N_co", bound=int, covariant=True)


def get(message: Message, name: str) -> Any:
    """Returns an optional field, or None if it is not set."""
    return getattr(message, name) if message.HasField(name) else None


def maybe(convert: Callable[[_G], _T], given: _G | None) -> _T | None:
    """Returns None for None, and the converted value for anything else."""
    return None if given is None else convert(given)


def value_to_proto(value: Any) -> value_pb2.Value:
    """Writes a value."""
    return _plain_to_proto(coerce.value(value, "value"))


def value_from_proto(message: value_pb2.Value) -> Any:
    """Reads a value: None, bool, int, float, str, list or dict."""
    kind = message.WhichOneof("kind")
    if kind is None or kind == "null_value":
        return None
    if kind == "list_value":
        return [value_from_proto(item) for item in message.list_value.values]
    if kind == "map_value":
        return values_from_proto(message.map_value.entries)
    return getattr(message, kind)


def values_to_proto(values: Mapping[Any, Any], where: str = "values") -> dict[str, value_pb2.Value]:
    """Writes a dict of values, for a map field; `where` names it in errors."""
    plain = coerce.value_map(values, where)
    return {key: _plain_to_proto(item) for key, item in plain.items()}


def fill_values(entries: Any, values: Mapping[Any, Any], where: str) -> None:
    """Writes a dict of values into an empty map field."""
    for key, item in coerce.value_map(values, where).items():
        _set(entries[key], item)


def values_from_proto(messages: Mapping[str, value_pb2.Value]) -> dict[str, Any]:
    """Reads a map field of values."""
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
    """Writes a datetime.

    Raises:
        ValueError: It has no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError(f"a time must have a time zone, such as UTC: {moment.isoformat()}")
    message = Timestamp()
    message.FromDatetime(moment)
    return message


def timestamp_from_proto(message: Timestamp) -> datetime:
    """Reads a time in UTC, cut to whole microseconds."""
    return _EPOCH + timedelta(seconds=message.seconds, microseconds=message.nanos // 1000)


# ---- Enums -----------------------------------------------------------------------------


class _EnumWrapper(Protocol[_N_co]):
    def Value(self, name: str) -> _N_co: ...  # noqa: N802 - protobuf's name


def _numbers(enum: type[_E], wrapper: _EnumWrapper[_N], prefix: str) -> dict[_E, _N]:
    return {member: wrapper.Value(f"{prefix}_{member.name}") for member in enum}


_ARM_STATUSES = _numbers(ArmStatus, arm_result_pb2.ArmStatus, "ARM_STATUS")
_DIRECTIONS = _numbers(Direction, experiment_pb2.Direction, "DIRECTION")
_EXPERIMENT_STATUSES = _numbers(
    ExperimentStatus, experiment_pb2.ExperimentStatus, "EXPERIMENT_STATUS"
)
_RANK_FLAGS = _numbers(RankFlag, ranking_pb2.RankFlag, "RANK_FLAG")
_SCORE_ORIGINS = _numbers(ScoreOrigin, score_pb2.ScoreOrigin, "SCORE_ORIGIN")


def _member(numbers: dict[_E, _N], number: _N) -> str:
    found = (member for member, known in numbers.items() if known == number)
    return next(found, f"unknown({number})")


def arm_status_to_proto(status: str) -> arm_result_pb2.ArmStatus.ValueType:
    """Writes an arm's status: an ArmStatus or its text."""
    return _ARM_STATUSES[coerce.member_of(ArmStatus)(status, "status")]


def arm_status_from_proto(number: arm_result_pb2.ArmStatus.ValueType) -> str:
    """Reads an arm's status."""
    return _member(_ARM_STATUSES, number)


def direction_to_proto(direction: str | None) -> experiment_pb2.Direction.ValueType:
    """Writes a direction; None is unspecified."""
    if direction is None:
        return experiment_pb2.DIRECTION_UNSPECIFIED
    return _DIRECTIONS[coerce.member_of(Direction)(direction, "direction")]


def direction_from_proto(number: experiment_pb2.Direction.ValueType) -> str | None:
    """Reads a direction."""
    return _member(_DIRECTIONS, number) if number else None


def experiment_status_to_proto(status: str) -> experiment_pb2.ExperimentStatus.ValueType:
    """Writes an experiment's status."""
    return _EXPERIMENT_STATUSES[coerce.member_of(ExperimentStatus)(status, "status")]


def experiment_status_from_proto(number: experiment_pb2.ExperimentStatus.ValueType) -> str:
    """Reads an experiment's status."""
    return _member(_EXPERIMENT_STATUSES, number)


def rank_flag_to_proto(flag: str) -> ranking_pb2.RankFlag.ValueType:
    """Writes a flag of a ranking."""
    return _RANK_FLAGS[coerce.member_of(RankFlag)(flag, "flag")]


def rank_flag_from_proto(number: ranking_pb2.RankFlag.ValueType) -> str:
    """Reads a flag of a ranking."""
    return _member(_RANK_FLAGS, number)


def score_origin_to_proto(origin: str) -> score_pb2.ScoreOrigin.ValueType:
    """Writes the origin of a score."""
    return _SCORE_ORIGINS[coerce.member_of(ScoreOrigin)(origin, "origin")]


def score_origin_from_proto(number: score_pb2.ScoreOrigin.ValueType) -> str:
    """Reads the origin of a score."""
    return _member(_SCORE_ORIGINS, number)
