"""Writes W&B logs, framed as W&B does it: fragments in blocks of 32 KiB, with checksums."""

import json
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from podium.importing.kinds.wandb import _log

__all__ = ["changes", "exit_record", "history", "log_bytes", "run_record", "write_log"]

_BLOCK = 32 * 1024


def write_log(path: Path, *records: Any) -> Path:
    """Writes a log of records."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(log_bytes(*records))
    return path


def log_bytes(*records: Any) -> bytes:
    """Returns the bytes of a log."""
    out = bytearray(b":W&B\xe1\xbe\x00")
    for record in records:
        _append(out, record if isinstance(record, bytes) else record.SerializeToString())
    return bytes(out)


def _append(out: bytearray, data: bytes) -> None:
    is_first = True
    while True:
        left = _BLOCK - len(out) % _BLOCK
        if left < 7:
            out += bytes(left)
            left = _BLOCK
        part, data = data[: left - 7], data[left - 7 :]
        kind = {(True, True): 1, (True, False): 2, (False, False): 3, (False, True): 4}[
            is_first, not data
        ]
        out += struct.pack("<IHB", zlib.crc32(bytes([kind]) + part), len(part), kind) + part
        is_first = False
        if not data:
            return


def changes(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields of a W&B message that sets the given values."""
    return {
        "update": [{"key": key, "value_json": json.dumps(value)} for key, value in values.items()]
    }


def run_record(run_id: str, config: Mapping[str, Any], **fields: Any) -> Any:
    """Returns the record that begins a run."""
    return _log._Record(run={"run_id": run_id, "config": changes(config), **fields})


def history(step: int, values: Mapping[str, Any]) -> Any:
    """Returns a row of the history."""
    items = [
        {"nested_key": [key], "value_json": json.dumps(value)} for key, value in values.items()
    ]
    return _log._Record(history={"item": items, "step": {"num": step}})


def exit_record(code: int = 0, runtime: int = 0) -> Any:
    """Returns the record of the end of a run."""
    return _log._Record(exit={"exit_code": code, "runtime": runtime})
