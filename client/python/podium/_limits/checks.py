"""Checks values against the limits.

A failed check raises `podium.InvalidArgumentError`. The error has a reason and the path of the
field, and explains what is expected. Sizes are checked before contents.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from itertools import islice

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from podium._limits.limits import Limits
from podium._values import names
from podium.errors import error_for
from podium.v1.value_pb2 import Value

__all__ = [
    "are_accepted",
    "check_count",
    "check_enum",
    "check_experiment_name",
    "check_keys",
    "check_metric",
    "check_name",
    "check_names",
    "check_optional_names",
    "check_range",
    "check_seconds",
    "check_set",
    "check_text",
    "check_texts",
    "check_time",
    "check_values",
    "is_time",
]

_ACCEPTED_LIMIT = 20_000
_NO_SEGMENT = frozenset({"", ".", ".."})


_accepted: defaultdict[int, set[str]] = defaultdict(set)
"""Caches valid names by the limit of bytes that they were checked with.

Most calls use the same names.
"""
_accepted_experiments: defaultdict[int, set[str]] = defaultdict(set)


def check_name(text: str, field: str, limits: Limits) -> None:
    """Checks a name, key, tag or id: 1 to `name_bytes` bytes, without control characters."""
    _check_name(text, field, limits.name_bytes)


def check_metric(text: str, field: str, limits: Limits) -> None:
    """Checks the name of a metric, which is a key, or an eval name, a dot and a key."""
    _check_name(text, field, 2 * limits.name_bytes + 1)


def _check_name(text: str, field: str, most: int, what: str = "") -> None:
    accepted = _accepted[most]
    if text in accepted:
        return
    wrong = names.wrong_name(text, most)
    if wrong:
        raise error_for("NAME_INVALID", f"{what or field} {wrong}", {"field": field})
    _accept(accepted, text)


def _accept(accepted: set[str], text: str) -> None:
    if len(accepted) >= _ACCEPTED_LIMIT:
        accepted.clear()
    accepted.add(text)


def check_experiment_name(text: str, field: str, limits: Limits) -> None:
    """Checks the name of an experiment: no segment may be empty, `.` or `..`."""
    accepted = _accepted_experiments[limits.name_bytes]
    if text in accepted:
        return
    check_name(text, field, limits)
    if not _NO_SEGMENT.isdisjoint(text.split("/")):
        raise error_for(
            "NAME_INVALID",
            f"{field} {names.shown(text)} has a segment between slashes that is empty, '.' or "
            "'..'; leave the segment out",
            {"field": field},
        )
    _accept(accepted, text)


def check_names(texts: Collection[str], field: str, limits: Limits) -> None:
    """Checks a list of names, such as tags or the keys of a map."""
    if _accepted[limits.name_bytes].issuperset(texts):
        return
    for text in texts:
        _check_name(text, field, limits.name_bytes, f"a key of {field}")


def check_optional_names(message: Message, path: str, names: Iterable[str], limits: Limits) -> None:
    """Checks the values of the fields `names` as names. Unset fields are allowed."""
    for name in names:
        if message.HasField(name):
            check_name(getattr(message, name), f"{path}.{name}", limits)


def are_accepted(names: Collection[str], limits: Limits) -> bool:
    """Returns whether all of these names are in the cache of names that passed `check_name`."""
    return _accepted[limits.name_bytes].issuperset(names)


def check_keys(keys: Collection[str], field: str, limits: Limits) -> None:
    """Checks the keys of a map, or a list of tags: their number, and each as a name."""
    if keys:
        check_count(len(keys), field, limits.map_keys, "keys")
        check_names(keys, field, limits)


def check_count(actual: int, field: str, limit: int, unit: str, *, name: str = "") -> None:
    """Raises LIMIT_EXCEEDED if `actual` is more than `limit`.

    The message names the field, or `name` if it is given, and `unit`, such as "keys" or "bytes".
    """
    if actual > limit:
        raise error_for(
            "LIMIT_EXCEEDED",
            f"{name or field} has {actual:,} {unit}; at most {limit:,} are allowed",
            {"field": field, "limit": str(limit), "actual": str(actual)},
        )


def check_text(text: str, field: str, limits: Limits) -> None:
    """Checks a string: at most `text_bytes` bytes of UTF-8, without NUL."""
    check_count(len(text.encode()), field, limits.text_bytes, "bytes")
    if "\0" in text:
        raise error_for(
            "FIELD_OUT_OF_RANGE",
            f"{field} contains a NUL character; leave it out",
            {"field": field},
        )


def check_texts(message: Message, path: str, limits: Limits) -> None:
    """Checks every text field that is set in a message. Lists of strings are not checked."""
    for field, value in message.ListFields():
        if field.type == field.TYPE_STRING and not field.is_repeated:
            check_text(value, f"{path}.{field.name}", limits)


def check_set(*, is_set: bool, field: str) -> None:
    """Raises FIELD_MISSING if a field is not set."""
    if not is_set:
        raise error_for("FIELD_MISSING", f"{field} is not set", {"field": field})


def check_enum(number: int, field: str, allowed: Mapping[int, str]) -> None:
    """Checks that an enum field has one of the allowed numbers."""
    if number not in allowed:
        raise error_for(
            "ENUM_INVALID",
            f"{field} is {number}; give one of {', '.join(allowed.values())}",
            {"field": field},
        )


def check_seconds(seconds: float, field: str) -> None:
    """Checks a duration in seconds: finite and not negative."""
    if not (seconds >= 0 and math.isfinite(seconds)):
        raise error_for(
            "FIELD_OUT_OF_RANGE",
            f"{field} is {seconds}; give a finite number of seconds, 0 or more",
            {"field": field},
        )


def check_range(number: int, field: str, least: int, most: int) -> None:
    """Checks that an integer is in a range. Both ends are included."""
    if not least <= number <= most:
        raise error_for(
            "FIELD_OUT_OF_RANGE",
            f"{field} is {number}; give a number from {least} to {most}",
            {"field": field},
        )


_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799
_NANOS = 1_000_000_000


def is_time(time: Timestamp) -> bool:
    """Returns whether a time is between the years 1 and 9999."""
    return _FIRST_SECOND <= time.seconds <= _LAST_SECOND and 0 <= time.nanos < _NANOS


def check_time(time: Timestamp, field: str) -> None:
    """Checks that a time is between the years 1 and 9999."""
    if not is_time(time):
        raise error_for(
            "FIELD_OUT_OF_RANGE",
            f"{field} is not a time between the years 1 and 9999",
            {"field": field},
        )


_NULL = {0: "NULL_VALUE"}


def check_values(values: Iterable[Value], field: str, limits: Limits) -> None:
    """Checks the kinds, the depth and the number of a field's values, nested ones included."""
    nodes = 0
    pending = [(value, 1) for value in islice(values, limits.value_nodes + 1)]
    while pending:
        value, depth = pending.pop()
        nodes += 1
        if nodes + len(pending) > limits.value_nodes:
            raise _value_invalid(field, _too_many(limits))
        if depth > limits.value_depth:
            raise _value_invalid(field, f"is nested more than {limits.value_depth} levels deep")
        kind = value.WhichOneof("kind")
        if kind is None:
            raise _value_invalid(
                field, "contains a Value whose kind is not set; use null_value for null"
            )
        if kind == "null_value":
            check_enum(value.null_value, field, _NULL)
        elif kind == "list_value":
            _check_room(len(value.list_value.values), len(pending) + nodes, field, limits)
            pending.extend((item, depth + 1) for item in value.list_value.values)
        elif kind == "map_value":
            entries = value.map_value.entries
            check_keys(entries, field, limits)
            pending.extend((item, depth + 1) for item in entries.values())


def _check_room(wanted: int, taken: int, field: str, limits: Limits) -> None:
    if wanted + taken > limits.value_nodes:
        raise _value_invalid(field, _too_many(limits))


def _too_many(limits: Limits) -> str:
    return f"has more than {limits.value_nodes:,} values, counting nested ones; give fewer"


def _value_invalid(field: str, what: str) -> Exception:
    return error_for("VALUE_INVALID", f"{field} {what}", {"field": field})
