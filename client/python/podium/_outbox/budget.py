"""Limits the disk space that the undelivered events of one recorder take."""

from __future__ import annotations

from threading import Lock

from podium._outbox.errors import OutboxFullError

__all__ = ["MAX_BYTES", "Budget"]

MAX_BYTES = 1 << 30
"""The default limit of the undelivered events, in bytes."""


class Budget:
    """A limit in bytes that the streams of a recorder share."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self._taken = 0
        self._lock = Lock()

    @property
    def taken(self) -> int:
        """The bytes that are in use."""
        return self._taken

    def check(self, size: int) -> None:
        """Checks that a record is not larger than the limit.

        Raises:
            ValueError: The record is larger than the limit.
        """
        if size > self.max_bytes:
            raise ValueError(
                f"an event of {size} bytes is larger than the "
                f"limit of the whole outbox, {self.max_bytes} bytes"
            )

    def take(self, size: int, *, beyond: bool = False) -> None:
        """Takes `size` bytes if they are free. With `beyond`, takes them even beyond the limit.

        Raises:
            OutboxFullError: The bytes are not free.
        """
        with self._lock:
            if self._taken + size > self.max_bytes and not beyond:
                taken = f"undelivered events take {self._taken} of {self.max_bytes} bytes"
                raise OutboxFullError(taken)
            self._taken += size

    def give_back(self, size: int) -> None:
        """Gives back bytes that were taken."""
        with self._lock:
            self._taken -= size
