"""Limits the disk space that the undelivered events of one recorder take."""

from __future__ import annotations

from threading import Lock

from podium._outbox.errors import OutboxFullError

__all__ = ["MAX_BYTES", "Budget"]

MAX_BYTES = 1 << 30
"""The default limit of the bytes of undelivered events that one recorder keeps on disk."""


class Budget:
    """A limit, in bytes, for the segments of all streams of a recorder together."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self._taken = 0
        self._lock = Lock()

    @property
    def taken(self) -> int:
        """The number of bytes that the segments take."""
        return self._taken

    def check(self, size: int) -> None:
        """Checks that a record is not larger than the limit.

        Raises:
            ValueError: The record is larger than the limit.
        """
        if size > self.max_bytes:
            raise ValueError(
                f"an event of {size:,} bytes is larger than max_bytes={self.max_bytes:,}, "
                "the limit for all undelivered events together"
            )

    def take(self, size: int, *, beyond: bool = False) -> None:
        """Reserves `size` bytes. If `beyond` is set, the limit may be exceeded.

        Raises:
            OutboxFullError: Fewer than `size` bytes are free.
        """
        with self._lock:
            if self._taken + size > self.max_bytes and not beyond:
                taken = f"undelivered events take {self._taken:,} of {self.max_bytes:,} bytes"
                raise OutboxFullError(taken)
            self._taken += size

    def give_back(self, size: int) -> None:
        """Frees `size` bytes that `take` has reserved."""
        with self._lock:
            self._taken -= size
