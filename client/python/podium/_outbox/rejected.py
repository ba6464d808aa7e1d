"""Stores the permanently rejected events of a stream in its file `rejected.jsonl`.

Each line is a rejected event or a mark. A mark says that `podium outbox` has since delivered or
discarded one of these events. Unreadable lines are skipped, so that a damaged line does not hide
others.
"""

import json
import os
import time
from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from zlib import crc32

from podium._outbox.files import open_new, sync_file

__all__ = ["RejectedCounter", "RejectedEvent", "append_rejected", "append_retried", "read_rejected"]

_FILE = "rejected.jsonl"
_CHECK = "crc32"


@dataclass(frozen=True)
class RejectedEvent:
    """An event that the server rejected permanently."""

    sequence: int
    reason: str
    """The reason, such as `STALE_ATTEMPT`."""
    message: str
    time: float
    """The time of the rejection, in seconds since 1970."""
    event: bytes
    """The serialized event."""
    retried: bool = False
    """Whether `podium outbox` delivered or discarded the event later."""


def read_rejected(folder: Path) -> list[RejectedEvent]:
    """Returns a stream's rejected events in order.

    Some may have been delivered or discarded since.
    """
    rejected_events: dict[int, RejectedEvent] = {}
    for line in _lines(folder):
        sequence = line.get("sequence")
        if "event" in line:
            event = b64decode(line.pop("event"))
            rejected_events[line["sequence"]] = RejectedEvent(event=event, **line)
        elif sequence in rejected_events:
            rejected_events[sequence] = replace(rejected_events[sequence], retried=True)
    return [rejected_events[sequence] for sequence in sorted(rejected_events)]


def append_rejected(folder: Path, rejected_events: Iterable[RejectedEvent]) -> None:
    """Stores rejected events and syncs them, so that they survive a power cut.

    Raises:
        OSError: Not all events could be written.
    """
    lines = [
        asdict(rejected) | {"event": b64encode(rejected.event).decode()}
        for rejected in rejected_events
    ]
    for line in lines:
        del line["retried"]
    _append(folder, lines)


def append_retried(folder: Path, sequences: Iterable[int]) -> None:
    """Marks rejected events that `podium outbox` has delivered or discarded.

    Raises:
        OSError: The marks could not be written.
    """
    now = time.time()
    _append(folder, [{"sequence": sequence, "retried": now} for sequence in sequences])


def _append(folder: Path, lines: Iterable[dict[str, Any]]) -> None:
    text = "".join(json.dumps(line | {_CHECK: _check(line)}) + "\n" for line in lines)
    path = folder / _FILE
    try:
        descriptor = open_new(path, os.O_RDWR | os.O_APPEND)
    except FileExistsError:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
    try:
        _write(descriptor, text.encode())
    finally:
        os.close(descriptor)
    sync_file(folder)


def _write(descriptor: int, lines: bytes) -> None:
    """Appends and syncs lines. If the last line of the file is incomplete, begins a new line."""
    size = os.fstat(descriptor).st_size
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        lines = b"\n" + lines
    while lines:
        lines = lines[os.write(descriptor, lines) :]
    os.fsync(descriptor)


class RejectedCounter:
    """Counts the rejected events that `podium outbox` has neither delivered nor discarded.

    Each call reads only the lines that are new since the previous call.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        self._read = 0
        self._sequences: set[int] = set()

    def count(self) -> int:
        """Returns the number of rejected events that were neither delivered nor discarded later."""
        for line in filter(None, map(_line, self._news())):
            change = self._sequences.add if "event" in line else self._sequences.discard
            change(line["sequence"])
        return len(self._sequences)

    def _news(self) -> list[bytes]:
        try:
            with self._path.open("rb") as file:
                file.seek(self._read)
                whole, end, _ = file.read().rpartition(b"\n")
        except FileNotFoundError:
            return []
        self._read += len(whole) + len(end)
        return whole.split(b"\n")


def _lines(folder: Path) -> list[dict[str, Any]]:
    try:
        content = (folder / _FILE).read_bytes()
    except FileNotFoundError:
        return []
    return [line for text in content.split(b"\n") if (line := _line(text)) is not None]


def _line(text: bytes) -> dict[str, Any] | None:
    try:
        line: dict[str, Any] = json.loads(text)
        check = line.pop(_CHECK)
    except (ValueError, KeyError, AttributeError, TypeError):
        return None
    return line if check == _check(line) else None


def _check(line: dict[str, Any]) -> int:
    return crc32(json.dumps(line, sort_keys=True).encode())
