"""Reads the transaction log of a W&B run (`run-<id>.wandb`): records in LevelDB's log format.

A file has a header, and blocks of 32 KiB. A record consists of one or more fragments. No fragment
crosses the end of a block. Each fragment has a checksum.
"""

import struct
import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any

from podium.importing._messages import DecodeError, message_classes
from podium.importing._values import opened_inside

__all__ = ["HEADER", "LogError", "records"]

HEADER = b":W&B\xe1\xbe"
_HEADER_BYTES = 7
_BLOCK_BYTES = 32 * 1024
_FRAGMENT = struct.Struct("<IHB")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_MAX_RECORD_BYTES = 64 * 1024 * 1024

_Item = {
    "key": (1, "string"),
    "nested_key": (2, "repeated string"),
    "boolean": (4, "bool"),
    "integer": (5, "sint64"),
    "number": (6, "double"),
    "text": (7, "string"),
    "json": (8, "string"),
    "value_json": (16, "string"),
}
_Changes = {"update": (1, "repeated Item"), "remove": (2, "repeated Item")}
_MESSAGES = message_classes(
    "podium.importing.wandb",
    {
        "Item": _Item,
        "Changes": _Changes,
        "Step": {"num": (1, "int64")},
        "History": {"item": (1, "repeated Item"), "step": (2, "Step")},
        "Exit": {"exit_code": (1, "int32"), "runtime": (2, "int32")},
        "Run": {
            "run_id": (1, "string"),
            "entity": (2, "string"),
            "project": (3, "string"),
            "config": (4, "Changes"),
            "summary": (5, "Changes"),
            "run_group": (6, "string"),
            "job_type": (7, "string"),
            "display_name": (8, "string"),
            "notes": (9, "string"),
            "tags": (10, "repeated string"),
            "sweep_id": (12, "string"),
        },
        "Record": {
            "history": (2, "History"),
            "summary": (3, "Changes"),
            "config": (5, "Changes"),
            "run": (17, "Run"),
            "exit": (18, "Exit"),
        },
    },
)
_Record = _MESSAGES["Record"]


class LogError(ValueError):
    """A log is cut off within a record, or damaged. The records before that place are valid."""


def records(path: Path) -> Iterator[Any]:
    """Yields the records of a log. Raises a LogError if the log is cut off or damaged."""
    with opened_inside(path) as file:
        header = file.read(_HEADER_BYTES)
        if not header.startswith(HEADER):
            raise ValueError(
                "not a log of W&B: it lacks the header" if header else "the file is empty"
            )
        for data in _joined(file):
            try:
                yield _Record.FromString(data)
            except DecodeError as error:
                raise LogError(f"damaged before byte {file.tell():,}: {error}") from error


def _joined(file: BufferedReader) -> Iterator[bytes]:
    """Yields the data of each record, joined from its fragments."""
    begun: list[bytes] = []
    size = 0
    for kind, data in _fragments(file):
        if (kind in (_FULL, _FIRST)) == bool(begun):
            raise LogError(f"damaged before byte {file.tell():,}: a fragment is missing")
        size += len(data)
        if size > _MAX_RECORD_BYTES:
            raise LogError(f"a record is larger than the limit of {_MAX_RECORD_BYTES:,} bytes")
        begun.append(data)
        if kind in (_FULL, _LAST):
            yield b"".join(begun)
            begun, size = [], 0
    if begun:
        raise LogError(_incomplete())


def _fragments(file: BufferedReader) -> Iterator[tuple[int, bytes]]:
    while True:
        left = _BLOCK_BYTES - file.tell() % _BLOCK_BYTES
        if left < _FRAGMENT.size:
            file.read(left)  # zeros at the end of a block
        begin = file.read(_FRAGMENT.size)
        if not begin:
            return
        if len(begin) < _FRAGMENT.size:
            raise LogError(_incomplete())
        checksum, length, kind = _FRAGMENT.unpack(begin)
        data = file.read(length)
        if len(data) < length:
            raise LogError(_incomplete())
        if kind not in (_FULL, _FIRST, _MIDDLE, _LAST) or checksum != _checksum(kind, data):
            raise LogError(f"damaged before byte {file.tell():,}: a checksum does not match")
        yield kind, data


def _checksum(kind: int, data: bytes) -> int:
    return zlib.crc32(data, zlib.crc32(bytes([kind])))


def _incomplete() -> str:
    return "the log is incomplete: its writer was stopped"
