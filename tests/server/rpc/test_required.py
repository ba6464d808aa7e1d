"""Tests that a request without a field that the protos mark as required is rejected."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from podium._limits.limits import DEFAULT_LIMITS
from podium.errors import InvalidArgumentError
from podium_server.api.callers import CALLER, Caller
from podium_server.api.tokens import new_row
from podium_server.store.open import open_store
from podium_server.store.tokens import Role

from tests.server.rpc.good_requests import good_requests
from tests.server.writes.ways import METHODS, Direct
from tests.stores import store_url

_PROTOS = Path(__file__).parents[3] / "proto" / "podium" / "v1"
_MESSAGE = re.compile(r"^message (?P<name>\w+) \{\n(?P<body>.*?)^\}", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"(?P<comment>(?: +//.*\n)+) +(?:[\w.]+ )*(?P<name>\w+)(?: =| \{)")


@cache
def _required() -> dict[str, set[str]]:
    """Returns the required fields and oneofs of each message, by the message's name."""
    found: dict[str, set[str]] = {}
    for proto in sorted(_PROTOS.glob("*.proto")):
        for message in _MESSAGE.finditer(proto.read_text(encoding="utf-8")):
            marked = {
                field["name"]
                for field in _FIELD.finditer(message["body"])
                if re.search(r"\bRequired\b", field["comment"])
            }
            if marked:
                found[message["name"]] = marked
    return found


def _set_fields(message: Message, path: str = "") -> Iterator[tuple[Message, str, str]]:
    """Yields each required field that is set: its message, its name and its path."""
    required = _required().get(message.DESCRIPTOR.name, set())
    for oneof in message.DESCRIPTOR.oneofs:
        if oneof.name in required:
            yield message, oneof.name, path + oneof.name
    for field, value in message.ListFields():
        here = f"{path}{field.name}"
        if field.name in required:
            yield message, field.name, here
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        if field.is_repeated:
            for index, item in enumerate(value):
                yield from _set_fields(item, f"{here}[{index}].")
        else:
            yield from _set_fields(value, f"{here}.")


def _without(request: Message) -> Iterator[tuple[Message, str]]:
    """Yields copies of the request that lack one required field, with the field's path."""
    for number, (_, _, path) in enumerate(_set_fields(request)):
        changed = type(request)()
        changed.CopyFrom(request)
        message, name, _ = list(_set_fields(changed))[number]
        message.ClearField(name)
        yield changed, path


def test_the_protos_mark_required_fields() -> None:
    """The required fields are read from the comments in the protos. Some known ones are found."""
    assert _required()["ScoreRequest"] == {"experiment", "arm", "metric"}
    assert _required()["Attempt"] == {"id", "order"}
    assert _required()["Value"] == {"kind"}
    assert len(_required()) > 20


async def test_a_missing_required_field_is_rejected_and_named(tmp_path: Path) -> None:
    """A valid request that lacks a required field is rejected. The error names the field."""
    store = await open_store(store_url(tmp_path), on_broken=lambda: None)
    tried = set()
    try:
        CALLER.set(Caller(new_row("admin", Role.ADMIN, (), None)[0]))
        way = Direct(store, DEFAULT_LIMITS)
        for method, request in good_requests():
            if METHODS[method].server_streaming:
                continue
            for changed, path in _without(request):
                with pytest.raises(InvalidArgumentError) as raised:
                    await way.call(method, changed)
                # For a Value, the error names the field that holds it.
                named: Any = raised.value.metadata["field"]
                assert path == named or path.startswith(f"{named}[") or path.endswith(".kind")
                tried.add(path.rpartition(".")[2])
    finally:
        await store.close()
    assert {"order", "run_config", "conclusion", "metric", "writer_id", "status"} <= tried
