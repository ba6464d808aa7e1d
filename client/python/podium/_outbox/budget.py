"""How much of the disk the undelivered outbox of one recorder may take."""

from __future__ import annotations

from threading import Lock

__all__ = ["MAX_BYTES", "Budget"]

MAX_BYTES = 1 << 30
"""What it may take unless told."""


class Budget:
    """A number of bytes that the streams of a recorder share."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self._taken = 0
        self._lock = Lock()

    @property
    def taken(self) -> int:
        """The bytes that are in use."""
        return self._taken

    def take(self, size: int) -> bool:
        """Takes so many bytes, if they are free."""
        with self._lock:
            if self._taken + size > self.max_bytes:
                return False
            self._taken += size
            return True

    def give_back(self, size: int) -> None:
        """Gives back bytes that were taken."""
        with self._lock:
            self._taken -= size
