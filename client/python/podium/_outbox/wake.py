"""A signal to the sender: a process that waits for delivery asks it to retry a stream soon.

The signal is a new modification time of a file. If it is lost, the process only waits longer.
"""

import contextlib
import os
from pathlib import Path

from podium._outbox.files import open_new

__all__ = ["WakeSignal", "wake_sender"]

_FILE = "wake"


def wake_sender(folder: Path) -> None:
    """Asks the sender to retry a stream soon. Ignores disk errors."""
    path = folder / _FILE
    with contextlib.suppress(OSError):
        if not path.exists():
            os.close(open_new(path))
        os.utime(path)


class WakeSignal:
    """Receives the signals for a stream that are sent after this object was created."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        self._seen = self._time()

    def is_set(self) -> bool:
        """Returns whether there was a signal since the last call of this method."""
        before, self._seen = self._seen, self._time()
        return self._seen != before

    def _time(self) -> int:
        try:
            return self._path.stat().st_mtime_ns
        except OSError:
            return 0
