"""Sends heartbeats, so that the server knows that an arm without new events is still trained."""

import logging
import time
from collections.abc import Iterable

from podium import events
from podium._outbox import StreamInfo
from podium._sender.recording_client import RecordingClient
from podium.errors import PodiumError
from podium.v1.event_pb2 import Event

__all__ = ["Heartbeat"]

_log = logging.getLogger(__name__)

_SECONDS = 45.0
"""The seconds without a delivered event after which a heartbeat is sent."""


class Heartbeat:
    """The heartbeat of one stream: an event without metrics for the running attempt."""

    def __init__(self, info: StreamInfo) -> None:
        self._info = info
        self._attempt_id = None if info.attempt_order is None else info.attempt_id
        self._last = time.monotonic()

    def note_delivered(self, delivered: Iterable[Event]) -> None:
        """Updates which attempt is running, from delivered events.

        Each delivered event counts as a heartbeat, so the next heartbeat is due 45 s later.
        """
        self._last = time.monotonic()
        for event in delivered:
            kind = event.WhichOneof("kind")
            if kind == "arm_started":
                self._attempt_id = event.arm_started.attempt.id
            elif kind == "arm_finished" and event.arm_finished.attempt_id == self._attempt_id:
                self._attempt_id = None

    def is_due(self) -> bool:
        """Returns whether an attempt is running and nothing was sent for it for 45 s."""
        return self._attempt_id is not None and time.monotonic() - self._last >= _SECONDS

    async def send(self, client: RecordingClient) -> None:
        """Sends a heartbeat.

        A heartbeat has no stream position, because a lost heartbeat is not sent again.
        """
        self._last = time.monotonic()
        event = events.metrics_recorded(self._info.arm or "", {}, attempt_id=self._attempt_id)
        try:
            await client.record(self._info.experiment, [event])
        except PodiumError as error:
            _log.debug("%s: a heartbeat could not be sent: %s", self._info.arm, error)
