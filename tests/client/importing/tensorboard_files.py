"""Writes TensorBoard event files, which contain records with checksums in TFRecord format."""

import struct
from pathlib import Path
from typing import Any

from podium.importing.kinds.tensorboard import _events

__all__ = ["event_bytes", "hparams", "scalars", "write_events"]


def write_events(folder: Path, *events: Any, name: str = "events.out.tfevents.1.host") -> Path:
    """Writes an event file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(event_bytes(*events))
    return folder / name


def event_bytes(*events: Any) -> bytes:
    """Returns the bytes of an event file."""
    return b"".join(_record(event) for event in events)


def scalars(step: int, wall_time: float = 1e9, **values: float) -> Any:
    """Returns an event with the scalars of a step. `__` in a tag stands for a slash."""
    value = [
        {"tag": tag.replace("__", "/").encode(), "simple_value": number}
        for tag, number in values.items()
    ]
    return _events._MESSAGES["Event"](wall_time=wall_time, step=step, summary={"value": value})


def hparams(status: int, **values: Any) -> Any:
    """Returns an event of the hparams plugin, with hyperparameters and the status of a session."""
    names = {bool: "boolean", str: "text", float: "number", int: "number"}
    entries = [
        {"key": key.encode(), "value": {names[type(value)]: _plain(value)}}
        for key, value in values.items()
    ]
    content = _events._MESSAGES["HParams"](start={"hparams": entries}, end={"status": status})
    plugin = {"plugin_name": b"hparams", "content": content.SerializeToString()}
    value = {"tag": b"_hparams_/x", "metadata": {"plugin_data": plugin}}
    return _events._MESSAGES["Event"](summary={"value": [value]})


def _plain(value: Any) -> Any:
    return value.encode() if isinstance(value, str) else value


def _record(event: Any) -> bytes:
    data = event if isinstance(event, bytes) else event.SerializeToString()
    length = struct.pack("<Q", len(data))
    return length + _checksum(length) + data + _checksum(data)


def _checksum(data: bytes) -> bytes:
    return struct.pack("<I", _events._masked_crc32c(data))
