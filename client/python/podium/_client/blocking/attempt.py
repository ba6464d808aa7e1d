"""Attempts at training an arm."""

from typing import Self

from podium._client import calls
from podium._client.blocking.arm import ArmHandle
from podium._client.blocking.connection import BlockingConnection
from podium._interface.provenance import collected
from podium._wire import codec
from podium.errors import PodiumError
from podium.v1.event_pb2 import Event

__all__ = ["ArmRun", "begin_attempt"]


class ArmRun(ArmHandle):
    """An attempt at training an arm, which `start_arm` starts.

    When a `with` block ends, the arm is recorded as completed. If the block raises an error, the
    arm is recorded as failed, with the error. After KeyboardInterrupt, it is recorded as cancelled.
    If `finish` has recorded a status before, the end of the block records nothing.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error_type: object, error: BaseException | None, trace: object) -> None:
        requests = self._ended(error)
        if requests is None:
            return
        try:
            self._connection.run(requests)
        except PodiumError as failure:
            self._note_failure(error, failure)


def begin_attempt(connection: BlockingConnection, experiment: str, event: Event) -> ArmRun:
    """Records the event that starts an attempt, and returns the attempt's handle."""
    started = event.arm_started
    if not started.HasField("provenance"):
        found = collected()
        if found is not None:
            started.provenance.CopyFrom(codec.provenance_to_proto(found))
    connection.run(calls.record(experiment, [event]))
    return ArmRun(connection, experiment, started.arm, started.attempt.id)
