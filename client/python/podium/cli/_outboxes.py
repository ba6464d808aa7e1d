"""Reads the state of outboxes: waiting and rejected events, and the reasons why they wait."""

import argparse
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from google.protobuf.message import DecodeError

from podium._outbox import (
    DamagedError,
    RejectedEvent,
    SenderLock,
    SenderState,
    StreamInfo,
    StreamReader,
    default_root,
    outbox_address,
    outboxes,
    streams,
)
from podium.cli._exits import CommandError
from podium.v1.event_pb2 import Event

__all__ = [
    "OutboxView",
    "StreamView",
    "add_folder",
    "event_of",
    "find_outboxes",
    "opened",
    "view_of",
]


class StreamView(NamedTuple):
    """The state of a stream, with its events that the server has not stored."""

    folder: Path
    info: StreamInfo
    is_recording: bool
    """Whether the writing process still runs, so that it may add events."""
    delivered: int
    """The sequence number of the last event that the server has stored or rejected."""
    waiting: int
    """The number of events that wait for delivery."""
    oldest: datetime | None
    """The time of the first waiting event, or None if no event waits or the event has no time."""
    rejected_events: list[RejectedEvent]
    """Rejected events that were not delivered or discarded later."""
    torn: list[Path]
    """Files of the stream that have unreadable records."""
    why: str
    """The reason why events wait, from the sender's status file. Empty if no reason is known."""

    @property
    def reasons(self) -> dict[str, int]:
        """The number of rejected events by reason."""
        return dict(Counter(rejected.reason for rejected in self.rejected_events))

    @property
    def is_delivered(self) -> bool:
        """Whether the server has every event."""
        return not (self.waiting or self.rejected_events or self.torn)


class OutboxView(NamedTuple):
    """The state of an outbox, of its streams and of its sender."""

    folder: Path
    address: str
    state: SenderState | None
    """The status of the last sender, or None if there is none."""
    is_sending: bool
    """Whether a sender runs now."""
    streams: list[StreamView]
    damaged: dict[Path, str]
    """Folders of streams that cannot be read, each with the reason."""

    @property
    def waiting(self) -> int:
        """The number of waiting events."""
        return sum(stream.waiting for stream in self.streams)

    @property
    def needs_sender(self) -> bool:
        """Whether a sender may have work.

        Events wait, or a process has ended, so that the end of its arm may be missing.
        """
        return any(stream.waiting or not stream.is_recording for stream in self.streams)

    def left_of(self, before: "OutboxView") -> int:
        """Returns how many of the events that waited in `before` still wait."""
        now = {stream.folder: stream.delivered for stream in self.streams}
        return sum(
            max(0, stream.delivered + stream.waiting - now[stream.folder])
            for stream in before.streams
            if stream.folder in now
        )

    @property
    def rejected(self) -> int:
        """The number of rejected events."""
        return sum(len(stream.rejected_events) for stream in self.streams)


def add_folder(parser: argparse.ArgumentParser) -> None:
    """Adds the argument for the folder of the outboxes."""
    parser.add_argument(
        "folder",
        metavar="FOLDER",
        nargs="?",
        type=Path,
        help="an outbox, or a folder of outboxes, which may be a copy (default: $PODIUM_OUTBOX, or "
        "podium/outbox in $XDG_STATE_HOME or ~/.local/state)",
    )


def find_outboxes(folder: Path | None) -> list[Path]:
    """Returns the outboxes in a folder; without a folder, returns the outboxes of this user.

    Raises:
        CommandError: A folder is given, and it has no outboxes.
    """
    found = outboxes(folder or default_root())
    if folder is not None and not found:
        what = "contains no outbox" if folder.is_dir() else "is not a folder"
        raise CommandError(f"{folder} {what}; give the folder of PODIUM_OUTBOX, or a copy of it")
    return found


def view_of(outbox: Path) -> OutboxView:
    """Returns the state of an outbox, without changing it.

    Raises:
        CommandError: The outbox cannot be read.
    """
    try:
        address, folders = outbox_address(outbox), streams(outbox)
    except (OSError, DamagedError) as error:
        raise CommandError(str(error)) from error
    state = SenderState.read(outbox)
    is_sending = SenderLock(outbox).is_held()
    seen: list[StreamView] = []
    damaged: dict[Path, str] = {}
    for folder in folders:
        try:
            seen.append(_stream_view(folder, _why(state, folder.name, is_sending=is_sending)))
        except FileNotFoundError:
            # The stream was delivered and removed in the meantime.
            continue
        except (OSError, DamagedError) as error:
            damaged[folder] = str(error)
    seen.sort(key=lambda stream: stream.info.create_time)
    return OutboxView(outbox, address, state, is_sending, seen, damaged)


def opened(stream: StreamView) -> StreamReader | None:
    """Returns a reader of a stream, or None if a sender has removed the stream meanwhile."""
    try:
        return StreamReader(stream.folder)
    except FileNotFoundError:
        return None


def event_of(payload: bytes) -> Event | None:
    """Parses the bytes of an event. Returns None if they are damaged."""
    try:
        return Event.FromString(payload)
    except DecodeError:
        return None


def _stream_view(folder: Path, why: str) -> StreamView:
    reader = StreamReader(folder)
    delivered = reader.progress().delivered
    waiting = max(0, reader.last_sequence() - delivered)
    return StreamView(
        folder,
        reader.info,
        reader.writer_lives(),
        delivered,
        waiting,
        _oldest(reader, delivered) if waiting else None,
        [rejected for rejected in reader.rejected_events() if not rejected.retried],
        reader.torn(),
        why if waiting else "",
    )


def _oldest(reader: StreamReader, delivered: int) -> datetime | None:
    first = reader.read(delivered, most_events=1)
    event = event_of(first[0].payload) if first else None
    if event is None or not event.HasField("event_time"):
        return None
    return event.event_time.ToDatetime(UTC)


def _why(state: SenderState | None, writer_id: str, *, is_sending: bool) -> str:
    if state is not None and writer_id in state.waits:
        return state.waits[writer_id]
    if state is not None and state.error:
        return state.error
    return "" if is_sending else "no sender runs"
