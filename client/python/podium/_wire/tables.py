"""Converts dataclasses to and from messages whose fields have the same names."""

from collections.abc import Callable, Collection
from dataclasses import fields
from operator import attrgetter
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message

from podium._wire.values import Field, get, maybe

__all__ = ["Codec", "repeated"]

_T = TypeVar("_T")
_M = TypeVar("_M", bound=Message)


def repeated(field: Field) -> Field:
    """Returns the Field of a list, given the Field that converts each item of the list."""
    return Field(
        lambda items: [field.to_proto(item) for item in items],
        lambda items: [field.from_proto(item) for item in items],
    )


class Codec(Generic[_T, _M]):
    """Converts a dataclass to and from a message.

    A field that is not set in the message is None in the dataclass, unless `required` names it.

    Args:
        model: The dataclass.
        message: The class of the message, which has a field for each field of the dataclass.
        required: The fields that are never None in the dataclass. If such a field is not set in the
            message, it is zero or empty in the dataclass.
        converted: The conversions of fields whose type in the message differs, by field name.
    """

    def __init__(
        self,
        model: type[_T],
        message: type[_M],
        /,
        *,
        required: Collection[str] = (),
        **converted: Field,
    ) -> None:
        self._model = model
        self.message = message
        names = [field.name for field in fields(model)]  # type: ignore[arg-type]  # a dataclass
        optional = {field.name for field in message.DESCRIPTOR.fields if field.has_presence}
        self._writers = {
            name: _writer(name, converted.get(name), is_optional=name in optional) for name in names
        }
        optional -= set(required)
        self._readers = {
            name: _reader(name, converted.get(name), is_optional=name in optional) for name in names
        }

    def to_proto(self, given: _T) -> _M:
        """Converts an object to a message."""
        return self.message(**{name: write(given) for name, write in self._writers.items()})

    def from_proto(self, message: _M) -> _T:
        """Converts a message to an object. Does not call the constructor, which checks values."""
        made = object.__new__(self._model)
        for name, read in self._readers.items():
            object.__setattr__(made, name, read(message))
        return made

    @property
    def field(self) -> Field:
        """The Field for use in another Codec, if a field of its message has this message type."""
        return Field(self.to_proto, self.from_proto)


def _writer(name: str, field: Field | None, *, is_optional: bool) -> Callable[[Any], Any]:
    if field is None:
        return attrgetter(name)
    if is_optional:
        return lambda given: maybe(field.to_proto, getattr(given, name))
    return lambda given: field.to_proto(getattr(given, name))


def _reader(name: str, field: Field | None, *, is_optional: bool) -> Callable[[Any], Any]:
    if is_optional and field is None:
        return lambda message: get(message, name)
    if field is None:
        return attrgetter(name)
    if is_optional:
        return lambda message: maybe(field.from_proto, get(message, name))
    return lambda message: field.from_proto(getattr(message, name))
