"""Records the end of an arm whose process was killed and could not record it.

A process counts as killed under three conditions: all events of its stream are delivered, the lock
of the stream is free, and the newest attempt in the stream has no end.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from google.protobuf.message import DecodeError

from podium import events
from podium._outbox import DamagedError, StreamInfo, StreamReader
from podium._outbox.writer import CLOSED_FILE
from podium._sender.damage import LostDeclaration
from podium._sender.recording_client import ExperimentReader, RecordingClient
from podium._values.enums import ArmStatus
from podium.errors import NotFoundError
from podium.v1.event_pb2 import Event

__all__ = ["MissingEnd", "find_missing_end", "follows"]

_ERROR = "the process ended without finishing the arm: host {0.host}, pid {0.pid}, last event {1}"


class MissingEnd:
    """The missing end of an attempt, with the time of the last event of its stream."""

    def __init__(self, info: StreamInfo, attempt_id: str, last_event: datetime | None) -> None:
        self._info = info
        self._attempt_id = attempt_id
        self._last_event = last_event

    async def record(self, client: RecordingClient) -> None:
        """Records that the arm failed, if the server still lists this attempt as running."""
        if await self._is_running(client.experiment(self._info.experiment)):
            await client.record(self._info.experiment, [self._event()])

    async def _is_running(self, experiment: ExperimentReader) -> bool:
        arm = self._info.arm or ""
        with suppress(NotFoundError):
            async for found in experiment.arms(status=ArmStatus.RUNNING, name_prefix=arm):
                if found.name == arm:
                    return found.attempt is not None and found.attempt.id == self._attempt_id
        return False

    def _event(self) -> Event:
        last = self._last_event
        time = "unknown" if last is None else last.isoformat(timespec="seconds")
        return events.arm_finished(
            self._info.arm or "",
            ArmStatus.FAILED,
            error=_ERROR.format(self._info, time),
            attempt_id=self._attempt_id,
        )


def find_missing_end(reader: StreamReader) -> MissingEnd | LostDeclaration | None:
    """Returns the end of the arm, or the declaration, that a delivered stream lacks.

    Returns None if the stream lacks neither. Also returns None for a copied stream and for a stream
    of another host, because the process that writes it may still run. If several processes share an
    attempt, only the main one has to record its end. The stream of any other process lacks an end
    only if that process was killed.
    """
    info, folder = reader.info, reader.folder
    if info.arm is None:
        return LostDeclaration(info) if reader.is_unread() else None
    if info.host != os.uname().nodename or not reader.is_original():
        return None
    if (folder / CLOSED_FILE).exists() and not info.is_main:
        return None
    attempt_id, last_event = _open_attempt(info, reader.remaining())
    if attempt_id is None:
        return None
    return MissingEnd(info, attempt_id, last_event)


@lru_cache(maxsize=100_000)
def follows(folder: Path) -> str | None:
    """Returns the writer_id of the stream that the stream in `folder` continues, or None.

    See `StreamInfo.follows`. Caches the result.
    """
    with suppress(OSError, DamagedError):
        return StreamInfo.read(folder).follows
    return None


def _open_attempt(
    info: StreamInfo, payloads: Iterable[bytes]
) -> tuple[str | None, datetime | None]:
    """Returns the id of the newest attempt (None if it has an end) and the last event's time."""
    started = None if info.attempt_order is None else info.attempt_id
    last_event = None
    for payload in payloads:
        try:
            event = Event.FromString(payload)
        except DecodeError:
            continue
        last_event = event.event_time.ToDatetime(UTC) if event.HasField("event_time") else None
        kind = event.WhichOneof("kind")
        if kind == "arm_started":
            started = event.arm_started.attempt.id
        elif kind == "arm_finished" and event.arm_finished.attempt_id == started:
            started = None
    return started, last_event
