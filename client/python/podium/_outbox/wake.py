"""The doorbell of a stream: who waits for its delivery rings, and the sender tries sooner.

A file whose time changes. Nothing depends on it: a ring that is lost costs a wait.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from podium._outbox.files import open_new

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Doorbell", "ring"]

_FILE = "doorbell"


def ring(folder: Path) -> None:
    """Asks the sender to try a stream soon, as far as the disk lets us."""
    path = folder / _FILE
    with contextlib.suppress(OSError):
        if not path.exists():
            os.close(open_new(path))
        os.utime(path)


class Doorbell:
    """The sender's end. What was rung before it listened does not count."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        self._heard = self._time()

    def has_rung(self) -> bool:
        """Whether somebody has rung since this was asked last."""
        before, self._heard = self._heard, self._time()
        return self._heard != before

    def _time(self) -> int:
        try:
            return self._path.stat().st_mtime_ns
        except OSError:
            return 0
