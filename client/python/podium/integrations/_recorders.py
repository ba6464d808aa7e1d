"""One recorder of an experiment for all trainings of a process: a search has thousands of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from podium._recorder import ExperimentRecording

__all__ = ["recorder_of"]

_SETTINGS = ("PODIUM_ADDRESS", "PODIUM_OUTBOX", "PODIUM_OFFLINE")
_recorders: dict[Any, ExperimentRecording] = {}


def recorder_of(experiment: str, rank: int | None) -> ExperimentRecording:
    """The recorder of an experiment; one that was closed goes on recording when it is used again.

    Args:
        experiment: The name of the experiment.
        rank: Which process of a distributed training this is; None if the trainer does not know.
    """
    # Only when training begins is it known which process this is; and the package loads protobuf.
    from podium._recorder import record  # noqa: PLC0415
    from podium._recorder.process_rank import process_rank  # noqa: PLC0415

    found = process_rank()
    if found is not None and found.number == rank:
        rank = None  # it is found again, with who said so
    key = (os.getpid(), experiment, rank, found, *map(os.environ.get, _SETTINGS))
    if key not in _recorders:
        _recorders[key] = record(experiment, rank=rank)
    return _recorders[key]
