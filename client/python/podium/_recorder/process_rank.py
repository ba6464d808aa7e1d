"""Which process of a distributed training this is: only the main one records."""

from __future__ import annotations

import os
import sys
from typing import Any, NamedTuple

__all__ = ["Rank", "process_rank"]

_VARIABLES = ("RANK", "SLURM_PROCID")


class Rank(NamedTuple):
    """The number of a process among those that train together, and its source."""

    number: int
    source: str


def process_rank() -> Rank | None:
    """Returns the rank of this process, or None if it is unknown.

    torch.distributed is asked if it is loaded and initialised, and never loaded; then the
    variables RANK, as torchrun sets it, and SLURM_PROCID, as srun does.
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
