"""Reads single fields of the encoded messages that stores keep.

Stores do not parse messages: callers pass the values that a store needs. Files of older versions
lack some of these values. For such files, this module reads them from the bytes.
"""

from collections.abc import Iterator
from hashlib import blake2b

__all__ = ["config_digest", "text_field"]

_VARINT, _FIXED_64, _LENGTH, _FIXED_32 = 0, 1, 2, 5
_SIZES = {_FIXED_64: 8, _FIXED_32: 4}
_NAME, _SEED = 1, 8
"""The numbers of the fields name and seed of a RunConfig, which may differ within a group."""


def config_digest(config: bytes) -> bytes:
    """Returns a digest of an encoded RunConfig without its name, its seed and empty fields."""
    digest = blake2b(digest_size=16)
    for number, field, content in _fields(config):
        if number not in {_NAME, _SEED} and content != b"":
            digest.update(field)
    return digest.digest()


def text_field(message: bytes, number: int) -> str | None:
    """Returns the value of a string field of an encoded message; None if it is not set."""
    found = [content for at, _, content in _fields(message) if at == number]
    return found[-1].decode() if found and found[-1] is not None else None


def _fields(message: bytes) -> Iterator[tuple[int, bytes, bytes | None]]:
    """Yields the number, the bytes and the content of each field of an encoded message.

    The content is None unless the field has a length, as strings, bytes and messages have.
    See https://protobuf.dev/programming-guides/encoding.
    """
    at = 0
    while at < len(message):
        begin = at
        tag, at = _varint(message, at)
        kind, content = tag & 7, None
        if kind == _VARINT:
            _, at = _varint(message, at)
        elif kind == _LENGTH:
            size, at = _varint(message, at)
            content, at = message[at : at + size], at + size
        else:
            at += _SIZES[kind]
        yield tag >> 3, message[begin:at], content


def _varint(message: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while message[at] & 0x80:
        number |= (message[at] & 0x7F) << shift
        shift += 7
        at += 1
    return number | message[at] << shift, at + 1
