"""Handles damaged records and disk errors."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from podium._outbox import RejectedEvent, StreamInfo
from podium._sender.event_kinds import begins_arm
from podium._sender.protocol import DAMAGED
from podium._sender.recording_client import RecordingClient
from podium._sender.verdicts import Opening, Refused
from podium.v1.event_pb2 import Event, ExperimentDeclared

__all__ = [
    "LostDeclaration",
    "ignored_disk_errors",
    "opening_of",
    "rejected_whole_arm",
    "was_start",
]

_log = logging.getLogger(__name__)


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
    if info.is_whole_arm:
        return Opening.WHOLE_ARM
    return Opening.ANY if info.attempt_order is None else Opening.ARM


def was_start(info: StreamInfo, rejected: RejectedEvent) -> bool:
    """Returns whether a rejected event was one that starts or records the stream's arm."""
    if rejected.reason == DAMAGED:
        return rejected.sequence == 1 and opening_of(info).creates_arm
    return begins_arm(rejected.event)


def rejected_whole_arm(
    info: StreamInfo, rejected_events: Iterable[RejectedEvent]
) -> Refused | None:
    """Returns the first event of a `record_arm` stream if that event was rejected, or else None."""
    firsts = (each for each in rejected_events if each.sequence == 1 and info.is_whole_arm)
    return next((Refused(1, each.reason, each.message, each.event) for each in firsts), None)


@contextmanager
def ignored_disk_errors(folder: Path) -> Iterator[None]:
    """Returns a context manager that logs and ignores OSErrors, for files that are not needed."""
    try:
        yield
    except OSError as error:
        _log.warning("%s: %s", folder, error)
