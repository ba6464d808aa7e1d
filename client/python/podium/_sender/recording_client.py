"""The methods of a client and its handles that the sender calls."""

from collections.abc import AsyncIterable, Iterable
from typing import Protocol

from podium._model.recording import RecordResult, StreamPosition
from podium._model.results import ArmStatus, ArmSummary, Experiment
from podium.v1.event_pb2 import Event

__all__ = ["ExperimentReader", "RecordingClient"]


class ExperimentReader(Protocol):
    """The methods of an experiment's handle that the sender calls."""

    def arms(
        self, *, status: ArmStatus | None = None, name_prefix: str | None = None
    ) -> AsyncIterable[ArmSummary]:
        """Lists the arms that have the given status and whose names begin with `name_prefix`."""

    async def get(self) -> Experiment:
        """Returns the experiment."""


class RecordingClient(Protocol):
    """The methods of a client that the sender calls."""

    async def record(
        self, experiment: str, events: Iterable[Event], position: StreamPosition | None = None
    ) -> RecordResult:
        """Records events of an experiment, all of them or none."""

    def experiment(self, name: str) -> ExperimentReader:
        """Returns the handle of an experiment."""
