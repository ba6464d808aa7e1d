"""Fills messages by reflection, so that tests cover each new field of a proto."""

from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from podium.v1.value_pb2 import Value

__all__ = ["fill", "fill_field"]

_SCALARS: dict[int, Any] = {
    FieldDescriptor.TYPE_STRING: "text",
    FieldDescriptor.TYPE_INT64: 2**53 + 1,
    FieldDescriptor.TYPE_INT32: 7,
    FieldDescriptor.TYPE_DOUBLE: 0.1,
    FieldDescriptor.TYPE_BOOL: True,
}


def fill(message: Message) -> None:
    """Sets every field of a message, and of the messages in it, to a value other than zero.

    The rows of an arm get a `model_ref`, too, so none of them is the primary eval. So the arm's
    eval metrics are not those of a row.
    """
    for name in message.DESCRIPTOR.fields_by_name:
        fill_field(message, name)


def fill_field(message: Message, name: str) -> None:
    """Sets one field of a message to a value other than zero."""
    field: Any = message.DESCRIPTOR.fields_by_name[name]
    target = getattr(message, name)
    if isinstance(message, Value):
        message.int_value = 2**53 + 1
    elif field.message_type is not None and field.message_type.GetOptions().map_entry:
        _fill_map(target, field.message_type.fields_by_name["value"])
    elif field.is_repeated:
        _fill_list(target, field)
    elif field.message_type is not None:
        _fill_message(target)
    else:
        setattr(message, name, _scalar(field))


def _fill_map(target: Any, value: Any) -> None:
    if value.message_type is not None:
        fill(target["key"])
    else:
        target["key"] = _scalar(value)


def _fill_list(target: Any, field: Any) -> None:
    if field.message_type is not None:
        fill(target.add())
    else:
        target.append(_scalar(field))


def _fill_message(target: Message) -> None:
    if isinstance(target, Timestamp):
        target.FromMicroseconds(1_700_000_000_123_456)
    else:
        fill(target)


def _scalar(field: Any) -> Any:
    if field.enum_type is not None:
        return field.enum_type.values[-1].number
    return _SCALARS[field.type]
