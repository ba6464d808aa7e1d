"""Compares the run_config of a new attempt with the recorded one."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from google.protobuf.message import Message
from podium.v1.run_config_pb2 import RunConfig

from podium_server.writes.encoding import encode

__all__ = ["changed_paths"]

_FREE_PATHS = frozenset({"model.load_checkpoint_path", "tags", "extras"})


def changed_paths(before: bytes, after: RunConfig) -> list[str]:
    """Returns the paths in which a run_config differs from the recorded one.

    Fields that every attempt may set differently are left out.
    """
    if before == encode(after):
        return []
    paths = _differences(RunConfig.FromString(before), after, "")
    return list(dict.fromkeys(paths))


def _differences(before: Message, after: Message, prefix: str) -> Iterator[str]:
    for field in before.DESCRIPTOR.fields:
        path = f"{prefix}{field.name}"
        if path in _FREE_PATHS:
            continue
        if field.message_type is None or field.is_repeated:
            a, b = _value_of(before, field.name), _value_of(after, field.name)
            yield from _value_differences(a, b, path)
        else:  # An empty message equals an unset one.
            a, b = getattr(before, field.name), getattr(after, field.name)
            yield from _differences(a, b, f"{path}.")


def _value_of(message: Message, name: str) -> Any:
    if message.DESCRIPTOR.fields_by_name[name].has_presence and not message.HasField(name):
        return None
    return getattr(message, name)


def _value_differences(a: Any, b: Any, path: str) -> Iterator[str]:
    if isinstance(a, Mapping):
        keys = sorted(a.keys() | b.keys())
        yield from (f"{path}.{key}" for key in keys if _encoded(a, key) != _encoded(b, key))
    elif isinstance(a, Sequence) and not isinstance(a, str):
        if [_encoded(a, i) for i in range(len(a))] != [_encoded(b, i) for i in range(len(b))]:
            yield path
    elif a != b:
        yield path


def _encoded(items: Any, key: Any) -> object:
    if isinstance(items, Mapping) and key not in items:
        return None
    item = items[key]
    return encode(item) if isinstance(item, Message) else item
