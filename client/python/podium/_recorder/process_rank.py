"""Determines the rank of this process in a distributed training. Only the main process records."""

from __future__ import annotations

import os
import sys
from typing import Any, NamedTuple

__all__ = ["Rank", "is_main", "process_rank"]

_VARIABLES = ("RANK", "SLURM_PROCID")


class Rank(NamedTuple):
    """The number of a process in a distributed training, and where the number comes from."""

    number: int
    source: str


def is_main(rank: int | None) -> bool:
    """Returns whether a rank is that of the main process. The rank None means a single process."""
    return rank is None or rank == 0


def process_rank() -> Rank | None:
    """Returns the rank in torch.distributed, or the variable RANK or SLURM_PROCID, or None."""
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
