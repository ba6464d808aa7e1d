"""The outbox: files with the events that a process has recorded and the sender delivers.

A stream is the sequence of events that one process records for one arm, or for the experiment
itself. It is a folder with segments: files that contain the events. The format of the files is
described in the modules that write them: `folders`, `records`, `segments`, `progress`, `rejected`.
Only the standard library is used, because training processes load this package, and fork.
"""

from podium._outbox.budget import MAX_BYTES, Budget
from podium._outbox.errors import DamagedError, OutboxFullError, UnknownFormatError
from podium._outbox.folders import (
    StreamInfo,
    default_root,
    is_own,
    new_writer_id,
    outbox_address,
    outbox_folder,
    outboxes,
    streams,
    sweep,
    temporary_root,
)
from podium._outbox.locks import SenderLock
from podium._outbox.notices import read_notices
from podium._outbox.progress import Progress
from podium._outbox.reader import Entry, StreamReader
from podium._outbox.rejected import RejectedEvent
from podium._outbox.sender_state import (
    DELIVERING,
    IDLE,
    THROTTLED,
    UNREACHABLE,
    WAITING,
    SenderState,
    forget_state,
)
from podium._outbox.wake import WakeSignal, wake_sender
from podium._outbox.writer import StreamWriter

__all__ = [
    "DELIVERING",
    "IDLE",
    "MAX_BYTES",
    "THROTTLED",
    "UNREACHABLE",
    "WAITING",
    "Budget",
    "DamagedError",
    "Entry",
    "OutboxFullError",
    "Progress",
    "RejectedEvent",
    "SenderLock",
    "SenderState",
    "StreamInfo",
    "StreamReader",
    "StreamWriter",
    "UnknownFormatError",
    "WakeSignal",
    "default_root",
    "forget_state",
    "is_own",
    "new_writer_id",
    "outbox_address",
    "outbox_folder",
    "outboxes",
    "read_notices",
    "streams",
    "sweep",
    "temporary_root",
    "wake_sender",
]
