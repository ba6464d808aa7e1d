"""Determines the rank of this process in a distributed training run.

By default, only the main process, with rank 0, records.
"""

from __future__ import annotations

import os
import sys
from typing import Any, NamedTuple

__all__ = ["Rank", "is_main", "process_rank"]

_VARIABLES = ("RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID")
"""The variables that torchrun, Open MPI, MPICH (and Intel MPI) and srun set."""


class Rank(NamedTuple):
    """The number of a process in a distributed training run, and the source of the number."""

    number: int
    source: str


def is_main(rank: int | None) -> bool:
    """Returns whether the process with a rank is the main process.

    If the rank is None, the process is the only one, and so it is the main process.
    """
    return rank is None or rank == 0


def process_rank() -> Rank | None:
    """Returns the rank of this process, or None if its training run is not distributed.

    If torch.distributed is initialized, returns the rank in it. Otherwise, returns the first
    environment variable of RANK, OMPI_COMM_WORLD_RANK, PMI_RANK and SLURM_PROCID that is set.
    """
    number = _torch_rank()
    if number is not None:
        return Rank(number, "torch.distributed")
    for name in _VARIABLES:
        text = os.environ.get(name, "").strip()
        if text.isdecimal():
            return Rank(int(text), name)
    return None


def _torch_rank() -> int | None:
    distributed: Any = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return None
    return int(distributed.get_rank())
