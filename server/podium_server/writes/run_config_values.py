"""The values of a run_config by path, for filters."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf.message import Message
from podium.v1.run_config_pb2 import RunConfig
from podium.v1.value_pb2 import Value

__all__ = ["config_values"]


def config_values(config: RunConfig) -> bytes:
    """Returns the values of a run_config by path as a JSON object, for filters.

    The values are nulls, booleans, strings and finite numbers. Lists and unset fields are left out.
    A path can appear twice if keys contain dots.
    """
    items = (f"{json.dumps(path)}:{json.dumps(value)}" for path, value in _values(config, ""))
    return f"{{{','.join(items)}}}".encode()


def _values(message: Message, prefix: str) -> Iterator[tuple[str, Any]]:
    for field, value in message.ListFields():
        path = f"{prefix}{field.name}"
        if isinstance(value, Mapping):
            yield from _map_values(value, f"{path}.")
        elif isinstance(value, Message):
            yield from _values(value, f"{path}.")
        elif isinstance(value, str | int):
            yield path, value


def _map_values(values: Mapping[str, Value], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        kind = value.WhichOneof("kind")
        if kind == "map_value":
            yield from _map_values(value.map_value.entries, f"{prefix}{key}.")
        elif kind == "null_value":
            yield f"{prefix}{key}", None
        elif kind != "list_value" and kind is not None:
            found = getattr(value, kind)
            if not isinstance(found, float) or math.isfinite(found):
                yield f"{prefix}{key}", found
