"""Random requests, most of which are wrong, made from the protobuf descriptors.

A request is a valid one in which some fields have extreme values, or one in which every field is
random. Some requests have broken bytes. The descriptors are searched for fields, so a new field or
rpc needs no change here.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from random import Random
from typing import Any

from google.protobuf.message import Message

from tests.server.rpc.good_requests import good_requests

__all__ = ["HUGE", "random_request"]

HUGE = 4 * 1024 * 1024
"""A request of more bytes is rejected before it is read."""

_TEXTS = (
    "", "x", "a", "val", "acc", "w", "A", "\0", "a\0b", "\n", "\x7f", "\x85", "\u200b", "é" * 129,
    "n" * 256, "n" * 257, "n" * 70_000, "a/b", "a//b", "/a", "a/", "..", "a/./b", ".", "val.acc",
    "." * 513, "\U0010ffff", "\ufffe", "%s%n{0}", "'; DROP TABLE arms; --", "AAAA", "é" * 300_000,
)  # fmt: skip
_INTEGERS = (
    0,
    1,
    -1,
    2,
    3,
    7,
    100,
    1_000,
    1_001,
    2**31 - 1,
    -(2**31),
    2**53 + 1,
    2**63 - 1,
    -(2**63),
)
_DOUBLES = (0.0, -0.0, 1.5, -1.0, float("nan"), float("inf"), float("-inf"), 5e-324, 1.8e308)
_ENUMS = (0, 1, 2, 3, 5, 6, 99, -1, 2**31 - 1)
_LONG = 1_000
_PLACES = 2_000
_DEPTHS = (6, 7, 8, 9, 20, 40)


def random_request(rng: Random, tokens: list[str]) -> tuple[str, bytes]:
    """Returns the name of an rpc and the bytes of a request.

    `tokens` are page tokens, which a request may contain in a damaged form. The same state of `rng`
    and the same tokens give the same request in each process.
    """
    method, good = rng.choice(good_requests())
    request = type(good)()
    request.CopyFrom(good)
    dice = rng.random()
    if dice < 0.15:
        request.Clear()
        _fill(rng, request, 4)
    else:
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            _spoil(rng, request, tokens)
    raw = request.SerializeToString(deterministic=True)
    return method, _break_bytes(rng, raw) if dice > 0.8 else raw


# ---- Fields ------------------------------------------------------------------------------


def _places(message: Message) -> Iterator[tuple[Message, Any]]:
    """Yields every field of a message and of the messages in it, set or not."""
    for field in message.DESCRIPTOR.fields:
        yield message, field
        if field.message_type is not None:
            for inner in _inner(message, field):
                yield from _places(inner)


def _inner(message: Message, field: Any) -> list[Message]:
    if field.is_repeated:
        value = getattr(message, field.name)
        if not _is_map(field):
            return list(value)
        is_message = field.message_type.fields_by_name["value"].message_type is not None
        # The order of a map differs from process to process.
        return [value[key] for key in sorted(value)] if is_message else []
    return [getattr(message, field.name)] if message.HasField(field.name) else []


def _is_map(field: Any) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def _spoil(rng: Random, request: Message, tokens: list[str]) -> None:
    places = list(islice(_places(request), _PLACES))
    if not places:
        return
    message, field = rng.choice(places)
    if field.name == "page_token" and tokens and rng.random() < 0.9:
        message.page_token = _damaged(rng, rng.choice(tokens))  # type: ignore[attr-defined]
    elif rng.random() < 0.2:
        message.ClearField(field.name)
    else:
        _set(rng, message, field, 3)


def _fill(rng: Random, message: Message, depth: int) -> None:
    for field in message.DESCRIPTOR.fields:
        if rng.random() < 0.5:
            _set(rng, message, field, depth)


def _set(rng: Random, message: Message, field: Any, depth: int) -> None:
    """Gives a field a random value, which is often an extreme one."""
    if _is_map(field):
        _set_map(rng, message, field, depth)
    elif field.is_repeated:
        _set_list(rng, message, field, depth)
    elif field.message_type is not None:
        inner = getattr(message, field.name)
        inner.SetInParent()
        _set_message(rng, inner, depth)
    else:
        setattr(message, field.name, _scalar(rng, field))


def _set_message(rng: Random, message: Message, depth: int) -> None:
    if message.DESCRIPTOR.full_name == "podium.v1.Value" and rng.random() < 0.3:
        _nest(rng, message)
    elif depth > 0:
        _fill(rng, message, depth - 1)


def _nest(rng: Random, value: Any) -> None:
    """Makes a Value that is nested deeply, or has many nodes."""
    if rng.random() < 0.2:
        for _ in range(rng.choice((1, 9_000, 10_001))):
            value.list_value.values.add().bool_value = True
        return
    for _ in range(rng.choice(_DEPTHS)):
        value = rng.choice((_in_list, _in_map))(value)
    value.bool_value = True


def _in_list(value: Any) -> Any:
    return value.list_value.values.add()


def _in_map(value: Any) -> Any:
    return value.map_value.entries["k"]


def _set_list(rng: Random, message: Message, field: Any, depth: int) -> None:
    items = getattr(message, field.name)
    many = rng.choice((1, 1, 2, 1_001)) if rng.random() < 0.3 else 1
    if field.message_type is None:
        item = _scalar(rng, field)
        items.extend([item] * (1 if isinstance(item, str) and len(item) > _LONG else many))
        return
    item = items.add()
    _set_message(rng, item, depth)
    for _ in range(many - 1 if item.ByteSize() < _LONG else 0):
        items.add().CopyFrom(item)


def _set_map(rng: Random, message: Message, field: Any, depth: int) -> None:
    values, value_field = getattr(message, field.name), field.message_type.fields_by_name["value"]
    many = rng.random() < 0.1
    keys = [f"k{n}" for n in range(rng.choice((1_000, 1_001)))] if many else [rng.choice(_TEXTS)]
    for key in keys:
        if value_field.message_type is None:
            values[key] = _scalar(rng, value_field)
        elif many:
            values[key].bool_value = True
        else:
            _set_message(rng, values[key], depth)


def _scalar(rng: Random, field: Any) -> Any:
    return _SCALARS[field.cpp_type](rng)


_SCALARS: dict[int, Callable[[Random], Any]] = {
    1: lambda rng: max(-(2**31), min(rng.choice(_INTEGERS), 2**31 - 1)),
    2: lambda rng: rng.choice(_INTEGERS),
    5: lambda rng: rng.choice(_DOUBLES),
    7: lambda rng: rng.random() < 0.5,
    8: lambda rng: rng.choice(_ENUMS),
    9: lambda rng: rng.choice(_TEXTS),
}
"""By `FieldDescriptor.cpp_type`: int32, int64, double, bool, enum, string."""


# ---- Bytes -------------------------------------------------------------------------------


def _damaged(rng: Random, token: str) -> str:
    """Returns a page token, in most cases with a defect."""
    at = rng.randrange(len(token))
    letter = rng.choice("AZaz09-_=+ é")
    return rng.choice((token[:at] + letter + token[at + 1 :], token[:at], token + letter, token))


def _break_bytes(rng: Random, raw: bytes) -> bytes:
    broken = bytearray(raw or b"\n\x01x")
    at = rng.randrange(len(broken))
    match rng.randrange(8):
        case 0:
            return bytes(broken[:at])
        case 1:
            broken[at] ^= 1 << rng.randrange(8)
        case 2:
            broken[at:at] = rng.randbytes(rng.choice((1, 3, 40)))
        case 3:
            broken += rng.choice(
                (b"\xff" * 11, b"\n\xff\xff\xff\xff\x7f", b"\x0b", b"\n\x02\xc3\x28")
            )
        case 4:
            broken += b"\xfa\x7f\x04text" * rng.choice((1, 1_000))
        case 5:
            broken += raw[at:] + raw[:at]
        case 6:
            return _nested_bytes(rng.choice((50, 99, 101, 5_000)))
        case 7:
            if rng.random() < 0.1:
                broken += b"\xfa\x7f" + _varint(HUGE) + b"x" * HUGE
    return bytes(broken)


def _nested_bytes(depth: int) -> bytes:
    """Returns the bytes of messages that are nested `depth` times in field 2."""
    raw = b""
    for _ in range(depth):
        raw = b"\x12" + _varint(len(raw)) + raw
    return raw


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])
