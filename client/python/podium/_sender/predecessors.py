"""Keeps the streams that have to be delivered before another stream."""

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from podium._sender.damage import ignored_disk_errors

__all__ = ["Predecessor", "Predecessors"]


class Predecessor(Protocol):
    """A stream, with the properties that the streams after it use."""

    folder: Path
    is_gone: bool

    @property
    def delivered(self) -> int:
        """The sequence number of the last event that the server has."""

    @property
    def is_orphan(self) -> bool:
        """Whether the server has accepted no start of the stream's arm."""

    @property
    def is_unreadable(self) -> bool:
        """Whether the stream's files could not be read for a while."""

    @property
    def fails_for_long(self) -> bool:
        """Whether calls of this stream have failed for a while, but calls of others succeed."""

    @property
    def predecessors(self) -> "Predecessors":
        """The streams that have to be delivered before this one."""

    def last_sequence(self) -> int:
        """Returns the sequence number of the last event written so far."""


class Predecessors:
    """The streams that have to be delivered before one stream.

    Attributes:
        are_orphans: Whether the server accepted no start of the arm from the stream that this one
            continues.
    """

    def __init__(self) -> None:
        self._older: list[tuple[Predecessor, int]] = []
        self._continued: tuple[Predecessor, int] | None = None
        self._starts_after: Predecessor | None = None
        self.are_orphans = False

    def set(
        self,
        older: Iterable[tuple[Predecessor, int]],
        continued: Predecessor | None,
        starts_after: Predecessor | None,
    ) -> None:
        """Sets the streams to deliver first.

        Each stream of an older attempt comes with the number of the last event to wait for.
        """
        self._older = list(older)
        self._starts_after = starts_after
        if continued is not None:
            with ignored_disk_errors(continued.folder):
                # A stream ends before the next one of its arm is created, so this is its last
                # event.
                self._continued = continued, continued.last_sequence()

    def are_pending(self) -> bool:
        """Returns whether any of these streams still has to be delivered first."""
        return self._is_continued_pending() or self.are_older_pending() or self._is_start_pending()

    def are_older_pending(self) -> bool:
        """Returns whether to wait for events of older attempts.

        Ignores streams that fail for long.
        """
        while self._older:
            other, last = self._older[-1]
            if other.delivered < last and not other.is_gone and not other.fails_for_long:
                return True
            self._older.pop()
        return False

    def _is_continued_pending(self) -> bool:
        if self._continued is None:
            return False
        before, last = self._continued
        if before.delivered < last and not (before.is_gone or before.is_unreadable):
            return True
        self.are_orphans = before.is_orphan
        self._continued = None
        return False

    def _is_start_pending(self) -> bool:
        """Returns whether the arm that the process started earlier still has to be created."""
        before = self._starts_after
        if before is not None and (
            before.is_gone
            or before.delivered
            or before.fails_for_long
            # An older attempt has created that arm already, so the order of the arms is fixed.
            or before.predecessors.are_older_pending()
        ):
            self._starts_after = before = None
        return before is not None
