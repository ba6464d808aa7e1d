"""Shares the recorder of an experiment among all trainings of a process."""

import os
from typing import Any

from podium._recorder import ExperimentRecording

__all__ = ["recorder_of"]

_SETTINGS = ("PODIUM_ADDRESS", "PODIUM_OUTBOX", "PODIUM_OFFLINE")
_recorders: dict[Any, ExperimentRecording] = {}


def recorder_of(experiment: str, rank: int | None = None, **declared: Any) -> ExperimentRecording:
    """Returns the recorder of an experiment, which the first call creates and declares."""
    # Imported here, since the package loads protobuf and the rank is known only in a training.
    from podium._recorder import record  # noqa: PLC0415
    from podium._recorder.process_rank import process_rank  # noqa: PLC0415

    found = process_rank()
    if found is not None and found.number == rank:
        rank = None  # the recorder finds it too, and its messages name where it comes from
    key = (os.getpid(), experiment, rank, found, *map(os.environ.get, _SETTINGS), repr(declared))
    if key not in _recorders:
        _recorders[key] = record(experiment, rank=rank, **declared)
    return _recorders[key]
