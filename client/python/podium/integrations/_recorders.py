"""Shares the recorder of an experiment among all training runs of a process."""

import os
from typing import Any

from podium._recorder import ExperimentRecording

__all__ = ["recorder_of"]

_SETTINGS = ("PODIUM_ADDRESS", "PODIUM_OUTBOX", "PODIUM_OFFLINE")
_recorders: dict[Any, ExperimentRecording] = {}


def recorder_of(experiment: str, rank: int | None = None, **declared: Any) -> ExperimentRecording:
    """Returns the recorder of an experiment. The first call creates it.

    Args:
        experiment: The name of the experiment.
        rank: The rank of this process; None if the caller does not know it.
        declared: Fields of the experiment, as arguments of `podium.record`.
    """
    # Imported here, since the package loads protobuf, which only a training run needs.
    from podium._recorder import record  # noqa: PLC0415
    from podium._recorder.process_rank import process_rank  # noqa: PLC0415

    found = process_rank()
    if found is not None and found.number == rank:
        rank = None  # the recorder finds the same rank, and its messages name the rank's source
    key = (os.getpid(), experiment, rank, found, *map(os.environ.get, _SETTINGS), repr(declared))
    if key not in _recorders:
        _recorders[key] = record(experiment, rank=rank, **declared)
    return _recorders[key]
