"""Handles damaged records and disk errors."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from podium._outbox import RejectedEvent, StreamInfo
from podium._sender.event_kinds import begins_arm, is_whole_arm
from podium._sender.protocol import Opening, Refused
from podium._sender.recording_client import RecordingClient
from podium.v1.event_pb2 import Event, ExperimentDeclared

__all__ = [
    "DAMAGED",
    "LostDeclaration",
    "damaged_event",
    "ignored_disk_errors",
    "opening_of",
    "rejected_whole_arm",
    "was_start",
]

_log = logging.getLogger(__name__)

DAMAGED = "DAMAGED"
"""The reason under which an event is stored as rejected if its record cannot be read."""


class LostDeclaration:
    """The declaration to send if the declaration in an experiment's stream is damaged."""

    def __init__(self, info: StreamInfo) -> None:
        self._info = info

    async def record(self, client: RecordingClient) -> None:
        """Declares the experiment without its fields, so that its arms can be delivered."""
        event = Event(experiment_declared=ExperimentDeclared())
        await client.record(self._info.experiment, [event])


def opening_of(info: StreamInfo) -> Opening:
    """Returns the kind of the first event that a recorder writes to a stream."""
    if info.arm is None:
        return Opening.EXPERIMENT
    return Opening.ANY if info.attempt_order is None else Opening.ARM


def was_start(info: StreamInfo, rejected: RejectedEvent) -> bool:
    """Returns whether a rejected event was one that starts or records the stream's arm."""
    if rejected.reason == DAMAGED:
        return rejected.sequence == 1 and opening_of(info) is Opening.ARM
    return begins_arm(rejected.event)


def rejected_whole_arm(rejected_events: Iterable[RejectedEvent]) -> Refused | None:
    """Returns the last rejected event that records an arm with its rows; None if there is none."""
    wholes = [each for each in rejected_events if is_whole_arm(each.event)]
    if not wholes:
        return None
    return Refused(wholes[-1].sequence, wholes[-1].reason, wholes[-1].message, wholes[-1].event)


def damaged_event(sequence: int) -> Refused:
    """Returns the rejected event to store in place of a record that cannot be read."""
    return Refused(sequence, DAMAGED, "the record in the outbox is damaged", b"")


@contextmanager
def ignored_disk_errors(folder: Path) -> Iterator[None]:
    """Returns a context manager that logs and ignores OSErrors, for files that are not needed."""
    try:
        yield
    except OSError as error:
        _log.warning("%s: %s", folder, error)
