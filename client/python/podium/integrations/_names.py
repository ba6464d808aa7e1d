"""Names the arms of a callback and of its copies."""

from __future__ import annotations

import logging
import os
from collections import Counter
from typing import Any

from podium.integrations._callers import caller_variables

__all__ = ["ArmNames"]

_LOGGER = logging.getLogger("podium")


class ArmNames:
    """Makes arm names unique among the training runs of a callback, and of its copies."""

    def __init__(self, *, is_received: bool = False) -> None:
        self._times: Counter[str] = Counter()
        self._is_received = is_received

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, ()

    def next(self, name: str) -> str:
        """Returns the name at its first use, and the name with a number at later uses."""
        if self._is_received and caller_variables("joblib.", "self"):
            # Each run of a search has its own copy of the callback, in one of several processes.
            name = f"{name}-{os.urandom(4).hex()}"
        self._times[name] += 1
        times = self._times[name]
        if times == 1:
            return name
        another = f"{name}-{times}"
        _LOGGER.warning(
            "podium: this callback has already recorded the "
            "arm %r, so the next training run is recorded as arm %r",
            name,
            another,
        )
        return another


def _received() -> ArmNames:
    return ArmNames(is_received=True)
