"""Reads TensorBoard event files: protobuf messages in the format TFRecord.

A record is its length, a checksum of the length, the message, and a checksum of the message.
"""

import struct
from collections.abc import Iterator
from functools import cache
from io import BufferedReader
from pathlib import Path
from typing import Any

from podium.importing._messages import DecodeError, message_classes
from podium.importing._values import opened_inside

__all__ = ["EventsError", "events", "first_record", "hyperparameters", "scalar"]

_HEAD = struct.Struct("<QI")
_CHECKSUM = struct.Struct("<I")
_MAX_RECORD_BYTES = 64 * 1024 * 1024
_FORMATS = {1: "<f", 2: "<d", 3: "<i", 9: "<q"}
_FIELDS = {1: "float_val", 2: "double_val", 3: "int_val", 9: "int64_val"}

_MESSAGES = message_classes(
    "podium.importing.tensorboard",
    {
        "SessionLog": {"status": (1, "int32")},
        "PluginData": {"plugin_name": (1, "bytes"), "content": (2, "bytes")},
        "Metadata": {"plugin_data": (1, "PluginData")},
        "Dim": {"size": (1, "int64")},
        "Shape": {"dim": (2, "repeated Dim")},
        "Tensor": {
            "dtype": (1, "int32"),
            "tensor_shape": (2, "Shape"),
            "tensor_content": (4, "bytes"),
            "float_val": (5, "repeated float"),
            "double_val": (6, "repeated double"),
            "int_val": (7, "repeated int32"),
            "int64_val": (10, "repeated int64"),
        },
        "Value": {
            "tag": (1, "bytes"),
            "simple_value": (2, "float"),
            "tensor": (8, "Tensor"),
            "metadata": (9, "Metadata"),
        },
        "Summary": {"value": (1, "repeated Value")},
        "Event": {
            "wall_time": (1, "double"),
            "step": (2, "int64"),
            "summary": (5, "Summary"),
            "session_log": (7, "SessionLog"),
        },
        "HParam": {"number": (2, "double"), "text": (3, "bytes"), "boolean": (4, "bool")},
        "Entry": {"key": (1, "bytes"), "value": (2, "HParam")},
        "Start": {"hparams": (1, "repeated Entry")},
        "End": {"status": (1, "int32")},
        "HParams": {"start": (3, "Start"), "end": (4, "End")},
    },
)


class EventsError(ValueError):
    """An event file is cut off or damaged. The events before that place are valid."""


def events(path: Path) -> Iterator[Any]:
    """Yields the events that have a summary or mark a restart.

    Raises an EventsError if the file is cut off or damaged.
    """
    with opened_inside(path) as file:
        for data, checksum in _records(file):
            try:
                event = _MESSAGES["Event"].FromString(data)
            except DecodeError as error:
                raise _damaged(file) from error
            if not (event.HasField("summary") or event.HasField("session_log")):
                continue  # such as a graph; its checksum would take long
            if _masked_crc32c(data) != checksum:
                raise _damaged(file)
            yield event


def first_record(path: Path) -> bytes:
    """Returns the first record of a file. It contains the time when the file was created."""
    with opened_inside(path) as file:
        return next(_records(file), (b"", 0))[0]


def scalar(value: Any) -> float | None:
    """Returns a value of a summary as a number, or None if the value is not a scalar."""
    if value.HasField("simple_value"):
        return float(value.simple_value)
    tensor = value.tensor
    if tensor.dtype not in _FORMATS or tensor.tensor_shape.dim:
        return None
    listed = getattr(tensor, _FIELDS[tensor.dtype])
    if listed:
        return float(listed[0])
    code = _FORMATS[tensor.dtype]
    if len(tensor.tensor_content) != struct.calcsize(code):
        return None
    return float(struct.unpack(code, tensor.tensor_content)[0])


def hyperparameters(content: bytes) -> tuple[dict[str, Any], int]:
    """Returns the hyperparameters and the final status of an HParams record.

    The status is 0 if the record has none.
    """
    try:
        data = _MESSAGES["HParams"].FromString(content)
    except DecodeError:
        return {}, 0
    found = {
        entry.key.decode(errors="replace"): _hyperparameter(entry.value)
        for entry in data.start.hparams
    }
    return found, data.end.status


def _hyperparameter(value: Any) -> float | str | bool | None:
    if value.HasField("text"):
        return str(value.text.decode(errors="replace"))
    if value.HasField("boolean"):
        return bool(value.boolean)
    return float(value.number) if value.HasField("number") else None


def _records(file: BufferedReader) -> Iterator[tuple[bytes, int]]:
    """Yields the data of each record, and the data's checksum for the caller to check."""
    while begin := file.read(_HEAD.size):
        if len(begin) < _HEAD.size:
            raise _incomplete()
        length, checksum = _HEAD.unpack(begin)
        if _masked_crc32c(begin[:8]) != checksum:
            raise _damaged(file)
        if length > _MAX_RECORD_BYTES:
            raise EventsError(f"a record is larger than the limit of {_MAX_RECORD_BYTES:,} bytes")
        data = file.read(length)
        end = file.read(_CHECKSUM.size)
        if len(end) < _CHECKSUM.size:
            raise _incomplete()
        yield data, _CHECKSUM.unpack(end)[0]


def _masked_crc32c(data: bytes) -> int:
    """Returns the checksum of TFRecord: CRC-32C (Castagnoli), rotated and with an offset."""
    table, crc = _crc32c_table(), 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


@cache
def _crc32c_table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return table


def _incomplete() -> EventsError:
    return EventsError("the file is incomplete: its writer was stopped")


def _damaged(file: BufferedReader) -> EventsError:
    return EventsError(f"damaged before byte {file.tell():,}: a checksum does not match")
