"""Protocols of the client methods that the sender calls."""

from collections.abc import AsyncIterable, Iterable
from typing import Protocol

from podium._model.recording import RecordResult, StreamPosition
from podium._model.results import ArmStatus, ArmSummary
from podium.v1.event_pb2 import Event

__all__ = ["ArmLister", "RecordingClient"]


class ArmLister(Protocol):
    """The methods of an experiment's handle that the sender calls."""

    def arms(
        self, *, status: ArmStatus | None = None, name_prefix: str | None = None
    ) -> AsyncIterable[ArmSummary]:
        """Lists arms."""


class RecordingClient(Protocol):
    """The methods of a client that the sender calls."""

    async def record(
        self, experiment: str, events: Iterable[Event], position: StreamPosition | None = None
    ) -> RecordResult:
        """Records events."""

    def experiment(self, name: str) -> ArmLister:
        """Returns the handle of an experiment."""
