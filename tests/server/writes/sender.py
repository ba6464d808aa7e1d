"""A minimal sender, which delivers one stream and skips permanently rejected events."""

from dataclasses import dataclass, field
from typing import Any

from podium.errors import PodiumError
from podium.v1.event_pb2 import Event, Skipped
from podium.v1.recording_service_pb2 import RecordRequest, RecordResponse, StreamPosition

from tests.server.writes.ways import Way

__all__ = ["Sender"]


@dataclass
class Sender:
    """The outbox of one writer: undelivered and permanently rejected events."""

    way: Way
    experiment: str
    writer_id: str
    outbox: list[Event] = field(default_factory=list)
    rejected: list[tuple[Event, str]] = field(default_factory=list)
    delivered: int = 0

    def log(self, *events: Event) -> None:
        """Puts events into the outbox."""
        self.outbox += events

    async def deliver(self) -> str | None:
        """Delivers the outbox. If an event has to wait, returns the reason."""
        while self.outbox:
            try:
                await self.send()
            except PodiumError as error:
                if not self._reject(error):
                    return error.reason
        return None

    async def send(self, first: int | None = None, *events: Event) -> RecordResponse:
        """Sends the outbox, or some events at a place of the stream, in one call."""
        request = RecordRequest(
            experiment=self.experiment,
            events=events or self.outbox,
            position=StreamPosition(
                writer_id=self.writer_id, first_sequence=first or self.delivered + 1
            ),
        )
        response: Any = await self.way.call("Record", request)
        if first is None:
            self.delivered += len(self.outbox)
            self.outbox = []
        answer: RecordResponse = response
        return answer

    def _reject(self, error: PodiumError) -> bool:
        """Replaces permanently rejected events by Skipped. Returns whether there were any."""
        permanent = [refused for refused in error.refusals if refused.permanent]
        for refused in permanent:
            self.rejected.append((self.outbox[refused.index], refused.reason))
            self.outbox[refused.index] = Event(skipped=Skipped())
        return bool(permanent)
