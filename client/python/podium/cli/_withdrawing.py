"""Withdraws waiting events from the sender, so that the user can redirect or discard them."""

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from podium._client.blocking.client import Client
from podium._model.recording import StreamPosition
from podium._outbox import Entry, RejectedEvent, SenderLock, SenderState, is_own
from podium._recorder.launch_sender import start_sender
from podium.cli._exits import CommandError
from podium.cli._outboxes import StreamView, opened, view_of
from podium.errors import PodiumError
from podium.v1.event_pb2 import Event, Skipped

__all__ = ["acquire_lock", "sender_stopped", "withdraw"]

_WITHDRAWN = "WITHDRAWN"
"""The reason stored with an event that the user withdrew before the server had it."""
_MESSAGE = "`podium outbox retry` withdrew the event to record it elsewhere, and did not finish"
_STOP_SECONDS, _LOOK_SECONDS = 30.0, 0.05


@contextmanager
def sender_stopped(outbox: Path) -> Iterator[None]:
    """Ensures that no sender delivers an outbox during the block.

    If a sender was stopped and has work left, starts a sender after the block.

    Raises:
        CommandError: The sender cannot be stopped, or the outbox cannot be written.
    """
    lock = SenderLock(outbox)
    try:
        was_running = acquire_lock(lock, outbox)
    except OSError as error:
        raise CommandError(f"{outbox} cannot be changed: {error}") from error
    try:
        yield
    finally:
        lock.release()
        if was_running and view_of(outbox).needs_sender:
            # If this fails, a recorder starts a sender later, or the user runs `podium sync`.
            with suppress(OSError, subprocess.SubprocessError):
                start_sender(outbox)


def acquire_lock(lock: SenderLock, outbox: Path) -> bool:
    """Takes the sender's lock of an outbox, and returns whether a sender was running.

    Stops each sender that has the lock. There can be several, one after the other, because
    recorders start them.

    Raises:
        CommandError: The sender cannot be stopped.
    """
    end = time.monotonic() + _STOP_SECONDS
    stopped: set[int] = {os.getpid()}
    while not lock.try_acquire():
        state = SenderState.read(outbox)
        if not is_own(outbox) or time.monotonic() > end:
            pid = f" (process {state.pid})" if state else ""
            raise CommandError(f"a sender{pid} is delivering {outbox}; stop it, then try again")
        # A sender that has ended leaves its status, and its pid may be that of any process now.
        if state is not None and state.pid not in stopped and lock.is_held_by(state.pid):
            stopped.add(state.pid)
            with suppress(ProcessLookupError, PermissionError):
                os.kill(state.pid, signal.SIGTERM)
        time.sleep(_LOOK_SECONDS)
    return len(stopped) > 1


def withdraw(streams: Iterable[StreamView], client: Client) -> None:
    """Stores the waiting events of streams as rejected, except those that the server has.

    Call it within `sender_stopped`. If the process is killed, each event is either still waiting or
    rejected.

    Raises:
        PodiumError: The server gave no answer.
    """
    for stream in streams:
        reader = opened(stream)
        if reader is None:
            continue
        known = {rejected.sequence for rejected in reader.rejected_events()}
        # A sender may have delivered more since the stream was looked at.
        after = reader.progress().delivered
        while entries := reader.read(after):
            # The server may have events although the sender got no answer.
            begin = after + _skip(client, stream, after, entries, validate_only=True)
            lacked = (each for each in entries if each.sequence > begin)
            reader.reject(*(_rejected(each) for each in lacked if each.sequence not in known))
            end = after + _skip(client, stream, after, entries)
            # In the meantime, a call of the stopped sender may have reached the server.
            reader.mark_retried(*({*range(begin + 1, end + 1)} - known))
            after = entries[-1].sequence
            reader.note_delivered(after)


def _rejected(entry: Entry) -> RejectedEvent:
    return RejectedEvent(entry.sequence, _WITHDRAWN, _MESSAGE, time.time(), entry.payload)


def _skip(
    client: Client,
    stream: StreamView,
    after: int,
    entries: Sequence[Entry],
    *,
    validate_only: bool = False,
) -> int:
    """Records `Skipped` events with the sequence numbers of waiting events.

    If a call of the stopped sender reaches the server after that, the call has no effect. With
    `validate_only`, nothing is recorded.

    Returns:
        The number of waiting events, from the first one on, that the server already had.
    """
    events = [Event(skipped=Skipped())] * (entries[-1].sequence - after)
    position = StreamPosition(stream.info.writer_id, after + 1)
    name = stream.info.experiment
    try:
        result = client.record(name, events, position=position, validate_only=validate_only)
    except PodiumError as error:
        if not error.refusals and error.reason != "SEQUENCE_GAP":
            raise
        # The server does not have the experiment, or has another history of the stream.
        return 0
    return result.skipped_events
