"""Encodings and comparisons that writes share: equal means equal bit by bit."""

import struct
from hashlib import blake2b

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

__all__ = ["digest", "encode", "plain_time", "same_double"]

_DOUBLE = struct.Struct("<d")


def encode(message: Message) -> bytes:
    """The one encoding of a message, whatever the order of its maps."""
    return message.SerializeToString(deterministic=True)


def plain_time(time: Timestamp) -> Timestamp:
    """A time and nothing else: a message may carry fields that nobody knows."""
    return Timestamp(seconds=time.seconds, nanos=time.nanos)


def digest(message: Message) -> bytes:
    """A short digest that tells a message from every other one."""
    return blake2b(encode(message), digest_size=16).digest()


def same_double(a: float | None, b: float) -> bool:
    """Whether two doubles are the same: NaN is itself, and -0.0 is not 0.0."""
    return a is not None and _DOUBLE.pack(a) == _DOUBLE.pack(b)
