"""Reads protobuf messages of other tools. A schema declares only the fields that are needed."""

from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message

__all__ = ["DecodeError", "Message", "message_classes"]

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "bool": _Field.TYPE_BOOL,
    "bytes": _Field.TYPE_BYTES,
    "double": _Field.TYPE_DOUBLE,
    "float": _Field.TYPE_FLOAT,
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
    "sint64": _Field.TYPE_SINT64,
    "string": _Field.TYPE_STRING,
}


def message_classes(
    package: str, schema: Mapping[str, Mapping[str, tuple[int, str]]]
) -> dict[str, type[Any]]:
    """Returns a class for each message of a schema, by name.

    When a class parses data, it skips the fields that the schema leaves out.

    Args:
        package: A name that no other schema has.
        schema: The fields of each message, with their numbers and types. A type is a scalar or
            another message, with `repeated ` before it for a list. `HasField` works for all fields
            that are not lists.
    """
    # Only proto3 rejects strings that are not UTF-8.
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{package}.proto", package=package, syntax="proto3"
    )
    for name, fields in schema.items():
        message = file.message_type.add(name=name)
        for field, (number, type_name) in fields.items():
            added = message.field.add(name=field, number=number)
            _set_type(added, type_name, package)
            if added.type != _Field.TYPE_MESSAGE and added.label != _Field.LABEL_REPEATED:
                added.proto3_optional, added.oneof_index = True, len(message.oneof_decl)
                message.oneof_decl.add(name=f"_{field}")
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))
        for name in schema
    }


def _set_type(field: _Field, type_name: str, package: str) -> None:
    *labels, kind = type_name.split()
    field.label = _Field.LABEL_REPEATED if "repeated" in labels else _Field.LABEL_OPTIONAL
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type = _Field.TYPE_MESSAGE
        field.type_name = f".{package}.{kind}"
