"""Encodes and compares messages for writes. Two values are equal if their bits are equal."""

import struct
from hashlib import blake2b

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

__all__ = ["digest", "encode", "plain_time", "same_double"]

_DOUBLE = struct.Struct("<d")


def encode(message: Message) -> bytes:
    """Encodes a message. Equal messages have equal encodings: the entries of maps are sorted."""
    return message.SerializeToString(deterministic=True)


def plain_time(time: Timestamp) -> Timestamp:
    """Copies a time without its unknown fields. Any message may have such fields."""
    return Timestamp(seconds=time.seconds, nanos=time.nanos)


def digest(message: Message) -> bytes:
    """Returns a short digest of a message."""
    return blake2b(encode(message), digest_size=16).digest()


def same_double(a: float | None, b: float) -> bool:
    """Returns whether two doubles have the same bits: NaN equals NaN, and -0.0 is not 0.0."""
    return a is not None and _DOUBLE.pack(a) == _DOUBLE.pack(b)
